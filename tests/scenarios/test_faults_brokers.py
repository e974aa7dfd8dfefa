"""Three brokers, each sample in two of them before it counts; leaders are killed."""

import pytest

from tests.scenarios.faults import tell
from tests.scenarios.faults.table import lines

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(400)]


async def test_leaders_that_are_killed() -> None:
    outcome = await tell.lost_leaders()
    print("\n".join(lines([outcome])))
    assert outcome.agrees, outcome.words
    assert outcome.samples.missing == 0
