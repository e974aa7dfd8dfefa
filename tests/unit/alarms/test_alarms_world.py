"""Schemas that come later than their frames, how far a takeover looks back, and whose the states are."""

import asyncio

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.alarms.schemas import PATIENCE_S, Schemas
from mcisd.alarms.world import GROUPS, METRICS, Atlas, World
from mcisd.model.alarms import AlarmRule, RuleLevel
from tests.unit.alarms.alarms_kit import SCHEMA, START, member, rule, state

TEXT = SCHEMA.to_json().encode()


async def test_frames_wait_for_their_schema_a_little_and_once() -> None:
    clock = ManualClock(START)
    schemas = Schemas(clock)
    waiting = asyncio.create_task(schemas.wait_for({SCHEMA.key}))
    await clock.advance(PATIENCE_S / 2)
    assert not waiting.done()
    assert schemas.add(TEXT) == SCHEMA.key
    await asyncio.wait_for(waiting, 1)
    waiting = asyncio.create_task(schemas.wait_for({b"unknown"}))
    await clock.advance(PATIENCE_S - 0.1)
    assert not waiting.done()
    await clock.advance(0.2)
    assert waiting.done()
    await asyncio.wait_for(schemas.wait_for({b"unknown", SCHEMA.key}), 1)


def test_what_is_no_schema_is_refused() -> None:
    schemas = Schemas(ManualClock(START))
    for text, why in [(b"", "Expecting"), (b"{}", "list of columns"), (b"[[1]]", "not a column"), (b"\xff", "decode")]:
        with pytest.raises(ValueError, match=why):
            schemas.add(text)
    assert schemas.known == {}


@pytest.mark.parametrize(
    ("rules", "seconds"),
    [
        ([], 0.0),
        ([rule(no_data_s=60.0)], 0.0),
        ([rule(window_s=900.0, enabled=False)], 0.0),
        ([rule()], 20.0),
        ([rule(), rule(uid="al-2", window_s=900.0)], 920.0),
        ([rule(window_s=3600.0)], 3600.0),
    ],
)
def test_a_takeover_looks_back_as_far_as_the_rules_do(rules: list[AlarmRule], seconds: float) -> None:
    assert World({one.uid: one for one in rules}).look_back_s == seconds


def test_each_state_and_vm_is_of_one_partition_of_one_topic() -> None:
    asked: list[tuple[str, str]] = []

    def place(topic: str, key: str) -> int:
        asked.append((topic, key))
        return ord(key[-1]) % 4

    atlas = Atlas(place)
    rules = {"al-vm": rule(uid="al-vm"), "al-all": rule(uid="al-all", level=RuleLevel.MCIS)}
    per_vm, group, orphan = (
        state(rules["al-vm"], "vm-a"),
        state(rules["al-all"], "mcis-1"),
        state(rule(uid="gone"), "mcis-1"),
    )
    states = [per_vm, group, orphan]
    assert atlas.states(METRICS, states, rules) == {1: [per_vm, orphan]}
    assert atlas.states(GROUPS, states, rules) == {1: [group]}
    members = [member("a"), member("b"), member("e")]
    assert atlas.members(METRICS, members) == {1: [members[0], members[2]], 2: [members[1]]}
    assert atlas.members(GROUPS, members) == {1: members}
    assert len(asked) == len(set(asked)), "a key's partition is asked for once"
