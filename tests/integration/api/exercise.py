"""The register of exercises: for every operation of the API one coroutine that makes it succeed.

In: an operationId. Out: the coroutine that calls it; it is given a ``Bench`` of mock VMs or a ``Local`` of real ones.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.integration.api.api_kit import Api
from tests.integration.api.api_local import Local


@dataclass(frozen=True)
class Bench:
    """``api`` has a mock connection ``conn`` and a running MCIS of two VMs at ``running``, to look at only."""

    api: Api
    conn: str
    running: str


Exercise = Callable[[Bench], Awaitable[None]]
LocalExercise = Callable[[Local], Awaitable[None]]
EXERCISES: dict[str, Exercise] = {}
LOCAL_EXERCISES: dict[str, LocalExercise] = {}


def exercises(*operations: str) -> Callable[[Exercise], Exercise]:
    """Register a coroutine for operations; each has exactly one."""

    def register(work: Exercise) -> Exercise:
        for operation in operations:
            assert operation not in EXERCISES, operation
            EXERCISES[operation] = work
        return work

    return register


def exercises_local(*operations: str) -> Callable[[LocalExercise], LocalExercise]:
    """The same for a coroutine that needs real VMs."""

    def register(work: LocalExercise) -> LocalExercise:
        for operation in operations:
            assert operation not in LOCAL_EXERCISES, operation
            LOCAL_EXERCISES[operation] = work
        return work

    return register
