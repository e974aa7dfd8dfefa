"""Many agents' links in one process and one loop: the real protocol over real TLS. In: a plan, commands on standard
input. Out: one JSON line for each command done.

    python -m benchmarks.kit.agents PLAN

Emulated: what agents measure (``payload``), and that they keep nothing: a lost link ends the run. Commands: ``link``
(all at once; then their schemas), ``live SECONDS`` (a frame of each every interval, phases spread), ``push TICKS START
EACH`` (frames of the past as fast as they are taken, ``EACH`` of them in a TLS record, all links in turn), ``set VM
VALUE`` (the first column of an agent, sent at once in a frame of its own). The end of standard input is the end.
"""

import heapq
import json
import os
import random
import select
import ssl
import sys
import time
from pathlib import Path

from benchmarks.kit import payload
from benchmarks.kit.agent_link import AgentLink
from mcisd.model import wire

STDIN = 0
SILENCE_S = 300.0
LOOK_S = 0.1
CONNECT_S, FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 1.0, 30.0  # the agent's own


class Agents:
    """All links and their loop."""

    def __init__(self, plan: dict[str, object]) -> None:
        self._plan = plan
        self._interval = float(str(plan["interval_ms"])) / 1000
        self._context = ssl.create_default_context(cafile=str(plan["ca"]))
        self._poll = select.epoll()
        self._poll.register(STDIN, select.EPOLLIN)
        self._links: dict[int, AgentLink] = {}
        self._linking = True
        self._lost: list[int] = []
        self._again: list[tuple[float, int]] = []
        self._pauses: dict[int, float] = {}
        self._by_fd: dict[int, AgentLink] = {}
        self._masks: dict[int, int] = {}
        self._typed = b""
        self._commands: list[list[str]] = []
        self._tick = 0

    def run(self) -> None:
        while (words := self._command()) is not None:
            began, cpu = time.monotonic(), time.process_time()
            done: dict[str, object] = getattr(self, f"do_{words[0]}")(*words[1:])
            spent = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
            print(json.dumps({"done": words[0], **spent, **done}), flush=True)
        for link in self._links.values():
            link.close()

    def do_link(self) -> dict[str, object]:
        """Every agent calls at the same moment; who has no WELCOME in time calls again, as the real agent would."""
        for number in range(len(self._plan["vms"])):  # type: ignore[arg-type]  # a list, as in AgentLink
            self._open(number)
        end, turned_away = time.monotonic() + SILENCE_S, 0
        while waiting := sum(not link.up or link.waiting > 0 for link in self._links.values()) + len(self._again):
            now = time.monotonic()
            look = now + LOOK_S  # to look at all of them more often would be most of the work
            while now < look:
                self._serve(look - now)
                now = time.monotonic()
            for link in [one for one in self._links.values() if not one.up and now - one.began > CONNECT_S]:
                self._lose(link)
            turned_away += len(self._lost)
            for number in self._lost:
                self._pauses[number] = min(LONGEST_PAUSE_S, 2 * self._pauses.get(number, FIRST_PAUSE_S / 2))
                heapq.heappush(self._again, (now + self._pauses[number] * random.uniform(0.5, 1.0), number))
            self._lost.clear()
            while self._again and self._again[0][0] <= now:
                self._open(heapq.heappop(self._again)[1])
            if now > end:
                raise SystemExit(f"{waiting} agents have no link after {SILENCE_S:g} s")
        self._linking = False
        return {"links": len(self._links), "turned_away": turned_away}

    def _open(self, number: int) -> None:
        link = AgentLink(number, self._plan)
        self._links[number] = self._by_fd[link.fd] = link
        self._masks[link.fd] = select.EPOLLOUT
        self._poll.register(link.fd, select.EPOLLOUT)

    def _pump(self, link: AgentLink) -> None:
        try:
            mask = link.pump(self._context)
        except OSError:
            if not self._linking:
                raise
            self._lose(link)
            return
        if mask != self._masks[link.fd]:
            self._masks[link.fd] = mask
            self._poll.modify(link.fd, mask)

    def _lose(self, link: AgentLink) -> None:
        self._poll.unregister(link.fd)
        link.close()
        del self._by_fd[link.fd], self._links[link.number]
        self._lost.append(link.number)

    def do_done(self) -> dict[str, object]:
        """All that was kept is sent: from now on frames are live."""
        for link in self._links.values():
            self._send(link, wire.pack_json(wire.REPLAY_DONE, {}))
        return {}

    def do_live(self, seconds: str) -> dict[str, object]:
        """A frame of each agent every interval; ``late_ms`` is the worst that we were late ourselves."""
        begin = time.monotonic()
        step = self._interval / max(1, len(self._links))
        due = [(begin + step * number, number) for number in self._links]
        heapq.heapify(due)
        sent, late, until = 0, 0.0, begin + float(seconds)
        while due and (now := time.monotonic()) < until:
            while due[0][0] <= now:
                when, number = due[0]
                heapq.heapreplace(due, (when + self._interval, number))
                late = max(late, now - when)
                self._tick += 1
                link = self._links[number]
                self._send(link, link.frame(self._tick, int(time.time() * 1000), 0))
                sent += 1
            self._serve(max(0.0, min(due[0][0] - time.monotonic(), 0.05)))
        return {"frames": sent, "late_ms": late * 1000}

    def do_push(self, ticks: str, start_ms: str, each: str) -> dict[str, object]:
        """Frames of the past, all links in turn, as fast as they are taken."""
        start, step = int(start_ms), int(each)
        for first in range(0, int(ticks), step):
            chosen = range(first, min(first + step, int(ticks)))
            for link in self._links.values():
                frames = [link.frame(tick, start + tick * payload.INTERVAL_MS, wire.REPLAYED) for tick in chosen]
                self._send(link, b"".join(frames))
            self._serve(0.0)
            while any(link.waiting > 65_536 for link in self._links.values()):
                self._serve(0.1)
        while any(link.waiting for link in self._links.values()):
            self._serve(0.1)
        return {"frames": int(ticks) * len(self._links)}

    def do_set(self, number: str, value: str) -> dict[str, object]:
        """One frame with this value in its first column; ``at`` is when it was given to the kernel."""
        link = self._links[int(number)]
        message = link.frame(self._tick, int(time.time() * 1000), 0, float(value))
        at = time.time()
        self._send(link, message)
        return {"at": at}

    def do_acked(self) -> dict[str, object]:
        """How many agents have had all their frames acknowledged."""
        return {"acked": sum(link.acked >= link.seq for link in self._links.values())}

    # --- the loop

    def _serve(self, seconds: float) -> None:
        for fd, _ in self._poll.poll(seconds, 1024):
            if fd == STDIN:
                self._listen()
                continue
            self._pump(self._by_fd[fd])

    def _send(self, link: AgentLink, message: bytes) -> None:
        if not link.send(message) and not self._masks[link.fd] & select.EPOLLOUT:
            self._masks[link.fd] = select.EPOLLIN | select.EPOLLOUT
            self._poll.modify(link.fd, self._masks[link.fd])

    def _listen(self) -> None:
        data = os.read(STDIN, 65_536)
        if not data:
            raise SystemExit
        *lines, self._typed = (self._typed + data).split(b"\n")
        self._commands += [line.decode().split() for line in lines if line.strip()]

    def _command(self) -> list[str] | None:
        while not self._commands:
            self._serve(1.0)
        words = self._commands.pop(0)
        return None if words[0] == "end" else words


if __name__ == "__main__":
    Agents(json.loads(Path(sys.argv[1]).read_text())).run()
