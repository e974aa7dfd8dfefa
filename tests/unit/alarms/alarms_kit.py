"""Small makers of rules, VMs, schemas and frames for the tests of the alarms."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcisd.alarms.ports import Member
from mcisd.model.alarms import AlarmRule, AlarmState
from mcisd.model.samples import Column, Schema, pack_frame

START = 1_700_000_000.0
CPU = Column("cpu", "usage_active", (("cpu", "cpu-total"),), "g")
CORE = Column("cpu", "usage_active", (("cpu", "cpu0"),), "g")
SENT = Column("net", "bytes_sent", (("interface", "eth0"),), "c")
SCHEMA = Schema.of((CPU, CORE, SENT))
NAN = float("nan")


def rule(**changes: Any) -> AlarmRule:
    base = AlarmRule(
        uid="al-cpu",
        version=1,
        ns="demo",
        mcis="web",
        name="cpu-high",
        measurement="cpu",
        field_name="usage_active",
        tags={"cpu": "cpu-total"},
        threshold=80.0,
        channels=("ops",),
    )
    return replace(base, **changes)


def state(of: AlarmRule | None = None, subject: str = "vm-a") -> AlarmState:
    of = of or rule()
    return AlarmState(uid=f"{of.uid}:{subject}", rule=of.uid, subject=subject, ns="demo", mcis="web")


def member(name: str = "a", **changes: Any) -> Member:
    base = Member(
        vm=f"vm-{name}", name=f"{name}-1", ns="demo", mcis="mcis-1", mcis_name="web", region="seoul", provider="local"
    )
    return replace(base, **changes)


def frame(vm: str, time: float, cpu: float, core: float = NAN, sent: float = NAN, schema: Schema = SCHEMA) -> bytes:
    return pack_frame(vm, schema.key, 1, round(time * 1000), 0, struct.pack("<3d", cpu, core, sent))


def runs(values: Sequence[float], step: float = 2.0, start: float = START) -> list[tuple[float, float]]:
    """The values as samples, ``step`` seconds apart."""
    return [(start + step * i, value) for i, value in enumerate(values)]
