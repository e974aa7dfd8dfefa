"""Are we in the group still? In: what the brokers answer to heartbeats and commits. Out: yes, as of lately, or unknown.

The brokers give our partitions to others when they have not heard from us for the session's time. It runs from
when they heard us, which is not before we spoke; so what counts is when a request was *sent* that they answered well.
A process that stood still (stopped, suspended, swapped out), or that cannot reach the brokers, finds by this that it
may have been replaced, before anybody has told it. Both clocks are looked at, as the monotonic one may stand
still with the machine.
"""

import asyncio
from typing import Any

from aiokafka.errors import UnknownMemberIdError

from mcisd.aio.clock import Clock

SHARE = 0.5
"""Of the session's time we believe an answer; the rest is for finishing what was begun in that belief."""


class Membership:
    """Of one consumer in its group, whose session lasts ``session_s`` seconds."""

    def __init__(self, clock: Clock, session_s: float) -> None:
        self._clock = clock
        self._believed_s = SHARE * session_s
        self._spoke: tuple[float, float] | None = None

    @property
    def fresh(self) -> bool:
        """The brokers cannot have given our partitions away yet."""
        if self._spoke is None:
            return False
        monotonic, wall = self._spoke
        return max(self._clock.monotonic() - monotonic, self._clock.now() - wall) < self._believed_s

    def forget(self) -> None:
        """Nothing is known, until the brokers answer again."""
        self._spoke = None

    def watch(self, coordinator: Any) -> None:
        """Look on at the client's heartbeats and commits from now on, which are to be a member's.

        A consumer that was put out of its group must not commit any more. Brokers refuse that only while the group
        has other members: in an empty one they take the commit of a client without a number for one that only keeps
        its positions there. So it is refused here.
        """
        beat, commit = coordinator._do_heartbeat, coordinator._do_commit_offsets

        async def heartbeat() -> bool:
            spoke = self._time()
            alive = bool(await beat())
            if alive:
                self._spoke = spoke
            return alive

        async def commit_offsets(assignment: Any, offsets: Any) -> None:
            if coordinator.generation < 0:
                raise UnknownMemberIdError(coordinator.group_id)
            if task := asyncio.current_task():  # made for this commit by the client; its caller may not wait for it
                task.add_done_callback(_seen)
            spoke = self._time()
            await commit(assignment, offsets)
            self._spoke = spoke

        coordinator._do_heartbeat, coordinator._do_commit_offsets = heartbeat, commit_offsets

    def _time(self) -> tuple[float, float]:
        return self._clock.monotonic(), self._clock.now()


def _seen(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()
