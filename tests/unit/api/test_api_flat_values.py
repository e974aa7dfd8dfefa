"""From the columns of a frame to one number per VM and metric."""

import numpy as np

from mcisd.collectors.live import LiveFrame
from mcisd.daemon.monitoring import flat_values
from mcisd.model.samples import GAUGE, Column, Schema

ROWS = [
    ("cpu", "usage_active", {"cpu": "cpu0"}, 90.0),
    ("cpu", "usage_active", {"cpu": "cpu-total"}, 50.0),
    ("net", "bytes_recv_rate", {"interface": "eth0"}, 10.0),
    ("net", "bytes_recv_rate", {"interface": "eth1"}, 5.0),
    ("net", "bytes_recv_rate", {"interface": "eth2"}, float("nan")),
    ("disk", "used_percent", {"path": "/"}, 40.0),
    ("disk", "used_percent", {"path": "/data"}, 80.0),
    ("mem", "used_percent", {}, float("nan")),
    ("system", "load1", {}, 0.0),
]


def frame() -> LiveFrame:
    columns = tuple(Column(measurement, name, tuple(tags.items()), GAUGE) for measurement, name, tags, _ in ROWS)
    return LiveFrame("vm-1", Schema.of(columns), 1, 1000, 0, np.array([value for *_, value in ROWS]))


def test_each_metric_in_its_own_way() -> None:
    wanted = ["cpu.usage_active", "net.bytes_recv_rate", "disk.used_percent", "mem.used_percent", "system.load1"]
    assert flat_values(frame(), wanted) == {
        "cpu.usage_active": 50.0,  # the total, not a core
        "net.bytes_recv_rate": 15.0,  # the sum of what was measured
        "disk.used_percent": 80.0,  # the fullest
        "system.load1": 0.0,  # zero is a value; memory was not measured and is absent
    }


def test_only_what_is_wanted() -> None:
    assert flat_values(frame(), ["system.load1", "no.such"]) == {"system.load1": 0.0}
    assert flat_values(frame(), []) == {}
