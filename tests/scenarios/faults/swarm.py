"""Many simulated agents in one process and one loop. In: a plan (JSON file), commands on standard input. Out: frames to
the collectors, the journals of what was measured and of what agents dropped, a status file twice a second.

    python -m tests.scenarios.faults.swarm PLAN

Commands, one a line: ``raise`` and ``lower`` (the alarm condition of the agents named in the plan), ``quiet`` (measure
no more, but go on sending), ``end``. The end of standard input is an ``end``, too: a swarm never outlives its lab.
"""

import heapq
import json
import os
import select
import sys
import time
from pathlib import Path

from tests.scenarios.faults.agent import Place, SimAgent
from tests.scenarios.faults.produce import Journal

TELL_S = 0.5
LEAST_S = 0.001
STDIN = 0


class Swarm:
    """``run`` returns when told to end."""

    def __init__(self, plan: dict[str, object]) -> None:
        place = plan["place"]
        assert isinstance(place, dict)
        self._status = Path(str(plan["status"]))
        self._journal, self._drops = (Journal(Path(str(plan[name]))) for name in ("journal", "drops"))
        shared = Place(
            [(str(host), int(port)) for host, port in place["servers"]], place["ca"], place["server_name"],
            place["interval_ms"], Path(place["folder"]), place["spool_max_bytes"],
        )  # fmt: skip
        agents = plan["agents"]
        alarming = plan["alarming"]
        assert isinstance(agents, list)
        assert isinstance(alarming, list)
        self._alarming = set(alarming)
        books = self._journal, self._drops
        self._agents = [SimAgent(one["number"], one["vm"], one["token"], shared, *books) for one in agents]
        self._poll = select.poll()
        self._poll.register(STDIN, select.POLLIN)
        self._by_fd: dict[int, int] = {}
        self._masks: list[dict[int, int]] = [{} for _ in self._agents]
        self._timers: list[tuple[float, int]] = []
        self._wakes = [0.0 for _ in self._agents]
        self._more: set[int] = set()
        self._measuring, self._running = True, True
        self._typed = b""
        self._told_at = 0.0

    def run(self) -> None:
        for index in range(len(self._agents)):
            self._step(index, set(), set())
        while self._running:
            now = time.monotonic()
            due = self._due(now)
            wait = 0.0 if self._more or due else max(0.0, min(self._next() - now, 0.2))
            ready = self._poll.poll(wait * 1000.0)
            for index in due:
                self._step(index, set(), set())
            self._serve(ready)
            if time.monotonic() >= self._told_at:
                self._tell()
        for agent in self._agents:
            agent.end()
        self._tell()
        self._journal.close()
        self._drops.close()

    def _next(self) -> float:
        return self._timers[0][0] if self._timers else float("inf")

    def _due(self, now: float) -> set[int]:
        """Whose time has come; those that had more to do come again."""
        due, self._more = self._more, set()
        while self._timers and self._timers[0][0] <= now:
            when, index = heapq.heappop(self._timers)
            if when == self._wakes[index]:  # else it was set anew since
                self._wakes[index] = 0.0
                due.add(index)
        return due

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        for fd, events in ready:
            if fd == STDIN:
                self._listen()
            elif fd in self._by_fd:
                failed = events & (select.POLLERR | select.POLLHUP)
                readable = {fd} if events & select.POLLIN or failed else set()
                writable = {fd} if events & select.POLLOUT or failed else set()
                self._step(self._by_fd[fd], readable, writable)

    def _step(self, index: int, readable: set[int], writable: set[int]) -> None:
        agent = self._agents[index]
        if self._measuring and time.monotonic() >= agent.tick_at:
            agent.tick()
        if agent.link.step(time.monotonic(), readable, writable):
            self._more.add(index)
        self._watch(index, agent)
        wake = min(agent.link.wake, agent.tick_at) if self._measuring else agent.link.wake
        wake = max(wake, time.monotonic() + LEAST_S)
        if wake != self._wakes[index]:
            self._wakes[index] = wake
            heapq.heappush(self._timers, (wake, index))

    def _watch(self, index: int, agent: SimAgent) -> None:
        """Wait for what its link waits for. A descriptor that it has closed is closed for the poll, too."""
        wanted = dict.fromkeys(agent.link.reading, select.POLLIN)
        for fd in agent.link.writing:
            wanted[fd] = wanted.get(fd, 0) | select.POLLOUT
        before = self._masks[index]
        if wanted == before:
            return
        for fd in before.keys() - wanted.keys():
            self._poll.unregister(fd)
            del self._by_fd[fd]
        for fd, mask in wanted.items():
            self._poll.register(fd, mask)
            self._by_fd[fd] = index
        self._masks[index] = wanted

    def _listen(self) -> None:
        data = os.read(STDIN, 4096)
        self._typed += data or b"end\n"
        *lines, self._typed = self._typed.split(b"\n")
        for line in lines:
            self._obey(line.decode().strip())
        self._tell()

    def _obey(self, word: str) -> None:
        match word:
            case "raise" | "lower":
                for agent in self._agents:
                    agent.raised = word == "raise" and agent.number in self._alarming
            case "quiet":
                self._measuring = False
            case "end":
                self._running = False
            case _:
                raise SystemExit(f"swarm: unknown command {word!r}")

    def _tell(self) -> None:
        self._told_at = time.monotonic() + TELL_S
        part = self._status.with_suffix(".part")
        body = {"time": time.time(), "measuring": self._measuring, "agents": [one.told() for one in self._agents]}
        part.write_text(json.dumps(body))
        part.replace(self._status)


def main() -> None:
    Swarm(json.loads(Path(sys.argv[1]).read_text())).run()


if __name__ == "__main__":
    main()
