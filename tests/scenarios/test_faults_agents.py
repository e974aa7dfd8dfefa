"""Faults between agents and collectors: no room on the agents' disk, and a network that fails."""

import pytest

from tests.scenarios.faults import tell
from tests.scenarios.faults.produce import COLUMNS
from tests.scenarios.faults.table import lines

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(400)]


async def test_what_a_full_spool_drops_is_what_is_missing() -> None:
    outcome = await tell.full_spool()
    print("\n".join(lines([outcome])))
    assert outcome.agrees, outcome.words
    assert outcome.samples.dropped > 0, "the disk never was full"
    assert 0 < outcome.samples.missing <= outcome.samples.dropped * len(COLUMNS)


async def test_a_network_that_is_cut_and_half_open() -> None:
    outcome = await tell.broken_network()
    print("\n".join(lines([outcome])))
    assert outcome.agrees, outcome.words
    assert outcome.samples.missing == 0
