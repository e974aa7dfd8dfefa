"""Processes that stand still, or are asked to end."""

import pytest

from tests.scenarios.faults import tell
from tests.scenarios.faults.table import lines

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(400)]


async def test_all_writers_stand_still() -> None:
    outcome = await tell.slow_consumer()
    print("\n".join(lines([outcome])))
    assert outcome.agrees, outcome.words
    assert outcome.samples.missing == 0


async def test_a_writer_that_wakes_after_another_took_over_spoils_nothing() -> None:
    outcome = await tell.sleeper()
    print("\n".join(lines([outcome])))
    assert outcome.agrees, outcome.words
    assert outcome.samples.missing == 0


async def test_collectors_that_are_drained() -> None:
    """The alarms of the rule about silent VMs are counted, too: none is expected."""
    outcome = await tell.drained()
    print("\n".join(lines([outcome])))
    assert outcome.agrees, outcome.words
    assert outcome.samples.missing == 0
