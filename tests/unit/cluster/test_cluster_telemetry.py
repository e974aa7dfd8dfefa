"""The daemon's own metrics: declared names only, in Prometheus' format, and as frames like an agent's."""

import asyncio
import re

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mcisd.aio.clock import ManualClock
from mcisd.bus.memory import MemoryBus
from mcisd.daemon.telemetry import DECLARED, SelfReport, Telemetry, add_process
from mcisd.model.identity import Identity
from mcisd.model.samples import COUNTER, FRAME_HEAD, Schema, frame_head


def test_names_follow_the_conventions() -> None:
    for name, declared in DECLARED.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert name.endswith("_total") == (declared.kind == COUNTER), name
        assert declared.help
        assert not set(declared.labels) & {"vm", "host", "ns", "infra", "provider", "region", "connection"}, name


def test_a_name_that_is_not_declared_cannot_be_added() -> None:
    with pytest.raises(KeyError, match="not declared"):
        Telemetry().add("something", lambda: 1.0)


def test_the_exposition_is_read_by_a_parser_of_the_format() -> None:
    telemetry = Telemetry()
    telemetry.add("agent_links", lambda: 3)
    telemetry.add("bus_lag", lambda: {("metrics", "writer"): 7.0, ("metrics", 'a"b'): 1.0})
    telemetry.add("agent_frames_total", lambda: 12)
    add_process(telemetry, ManualClock())
    families = {family.name: family for family in text_string_to_metric_families(telemetry.exposition().decode())}
    assert families["mcisd_agent_links"].samples[0].value == 3
    assert families["mcisd_agent_frames"].samples[0].name == "mcisd_agent_frames_total"
    lag = {(s.labels["topic"], s.labels["reader"]): s.value for s in families["mcisd_bus_lag"].samples}
    assert lag == {("metrics", "writer"): 7, ("metrics", 'a"b'): 1}
    assert families["mcisd_process_resident_bytes"].samples[0].value > 1e6
    assert families["mcisd_up"].samples[0].value == 1


def test_sources_of_one_name_add_up_to_one_metric() -> None:
    telemetry = Telemetry()
    telemetry.add("service_up", lambda: {("a",): 1.0})
    telemetry.add("service_up", lambda: {("b",): 0.0})
    assert telemetry.flat() == {"service_up{a}": 1.0, "service_up{b}": 0.0}


async def test_a_process_reports_like_an_agent() -> None:
    bus, clock, telemetry = MemoryBus(), ManualClock(), Telemetry()
    telemetry.add("agent_links", lambda: 3)
    telemetry.add("bus_lag", lambda: {("metrics", "writer"): 7.0})
    identities, schemas = bus.follow("identities", "t", from_start=True), bus.follow("schemas", "t", from_start=True)
    frames = bus.follow("metrics", "t")
    running = asyncio.ensure_future(SelfReport(telemetry, bus, clock, "collector-1").run())
    await clock.advance(20.0)
    (who,), (what,), two = await identities.fetch(), await schemas.fetch(), await frames.fetch()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    identity, schema = Identity.from_json(who.value), Schema.from_json(what.value)
    assert (identity.host, identity.infra) == ("collector-1", "daemon")
    assert [column.series for column in schema.columns] == [
        "mcisd agent_links",
        "mcisd,reader=writer,topic=metrics bus_lag",
    ]
    heads = [frame_head(frame.value) for frame in two]
    assert [head[:2] for head in heads] == [(identity.vm, schema.key)] * 2
    assert heads[0][2] < heads[1][2]
    assert [head[3] % 10_000 for head in heads] == [0, 0]
    assert np.frombuffer(two[0].value, "<f8", offset=FRAME_HEAD.size).tolist() == [3.0, 7.0]
