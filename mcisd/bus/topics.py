"""The topics, declared once."""

from mcisd.bus.base import Topic

METRICS = Topic("metrics", size=50_000)
SCHEMAS = Topic("schemas", size=10_000, partitions=1, compacted=True)
EVENTS = Topic("events", size=10_000)

ALL = (METRICS, SCHEMAS, EVENTS)
