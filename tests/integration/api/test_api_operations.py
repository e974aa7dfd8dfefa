"""Every operation of the API is called against a whole daemon and succeeds."""

import pytest

from mcisd.daemon.api.routes import ROUTES
from tests.integration.api import (
    exercise_alarms,
    exercise_federation,
    exercise_infra,
    exercise_inventory,
    exercise_local,
    exercise_system,
)
from tests.integration.api.api_kit import Api
from tests.integration.api.api_local import Local
from tests.integration.api.exercise import EXERCISES, LOCAL_EXERCISES, Bench, Exercise, LocalExercise

pytestmark = pytest.mark.asyncio(loop_scope="session")
MODULES = (
    exercise_alarms,
    exercise_federation,
    exercise_infra,
    exercise_inventory,
    exercise_local,
    exercise_system,
)
WANTED = {route.operation: route.status for route in ROUTES} | {"DeleteImage": 409}
"""DeleteImage has nothing to delete before images can be made: its refusal is what there is to see."""


async def test_every_operation_has_one_exercise() -> None:
    assert set(EXERCISES) | set(LOCAL_EXERCISES) == set(WANTED)
    assert not set(EXERCISES) & set(LOCAL_EXERCISES)


@pytest.mark.parametrize("work", dict.fromkeys(EXERCISES.values()), ids=lambda work: work.__name__)
async def test_operation(api: Api, conn: str, running: str, work: Exercise) -> None:
    api.seen.clear()
    await work(Bench(api, conn, running))
    check_seen(api, [name for name, known in EXERCISES.items() if known is work])


@pytest.mark.parametrize("work", dict.fromkeys(LOCAL_EXERCISES.values()), ids=lambda work: work.__name__)
async def test_operation_on_real_vms(local: Local, work: LocalExercise) -> None:
    local.api.seen.clear()
    await work(local)
    check_seen(local.api, [name for name, known in LOCAL_EXERCISES.items() if known is work])


def check_seen(api: Api, operations: list[str]) -> None:
    """The server has answered each of these operations as a success does."""
    for operation in operations:
        assert WANTED[operation] in api.seen.get(operation, set()), f"{operation} was not called"
