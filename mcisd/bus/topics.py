"""The topics, declared once: name, key, and what keeps its order by it.

==========  ==================  ================================================================================
topic       key                 messages
==========  ==================  ================================================================================
metrics     VM uid              frames of samples (model/samples.py), in the order in which the VM sent them
schemas     schema hash         what the columns of a frame mean; compacted
identities  VM uid              whose frames these are: names, cloud, region (model/identity.py); compacted
groups      MCIS uid            per-VM values of rules about a whole MCIS, between two stages of the alarms
control     node uid            requests to collectors about agents, and their answers (daemon/agents/remote.py)
events      subject             every event, as a CloudEvent in binary mode, in the order of the store's outbox
==========  ==================  ================================================================================
"""

from mcisd.bus.base import Topic

HOUR, DAY = 3_600.0, 86_400.0

# What an embedded bus keeps: 10 000 VMs send 5 000 frames a second, and a window is stored 12 s after its first one.
METRICS = Topic("metrics", size=100_000, partitions=24, retention_s=DAY)
SCHEMAS = Topic("schemas", size=10_000, partitions=1, compacted=True)
IDENTITIES = Topic("identities", size=200_000, partitions=1, compacted=True)
GROUPS = Topic("groups", size=50_000, partitions=12, retention_s=HOUR)
CONTROL = Topic("control", size=10_000, partitions=1, retention_s=HOUR)
EVENTS = Topic("events", size=10_000, partitions=12, retention_s=7 * DAY)

ALL = (METRICS, SCHEMAS, IDENTITIES, GROUPS, CONTROL, EVENTS)
