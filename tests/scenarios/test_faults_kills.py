"""Everything that may die dies, under load, and every engine goes away for a while: each sample is stored once, each
alarm told once."""

import pytest

from tests.scenarios.faults import tell
from tests.scenarios.faults.table import lines

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@pytest.mark.timeout(600)
async def test_twenty_kills_and_every_engine_away() -> None:
    outcome = await tell.long_story(20)
    print("\n".join(lines([outcome])))
    assert outcome.agrees, outcome.words
