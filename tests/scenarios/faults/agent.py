"""One simulated agent: the real agent, but for what it measures and for its loop.

In: times. Out: frames in the journal, then in the outbox, then on the link. The swarm steps many of these in one loop.
"""

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from mcisd.agent.config import Config
from mcisd.agent.link import Link
from mcisd.agent.outbox import Outbox
from mcisd.agent.run import Agent
from mcisd.model import wire
from tests.scenarios.faults.produce import SCHEMA, Journal, row

HEAD = 5  # bytes before the payload of a wire message


@dataclass(frozen=True, slots=True)
class Place:
    """What the agents of a swarm share."""

    servers: list[tuple[str, int]]
    ca: str
    server_name: str
    interval_ms: int
    folder: Path
    spool_max_bytes: int


class SimAgent(Agent):
    """``number`` names it in the journal. Drive it with ``tick`` at ``tick_at`` and ``link.step`` at ``link.wake``."""

    def __init__(self, number: int, vm: str, token: str, place: Place, journal: Journal, drops: Journal) -> None:
        body: dict[str, object] = {
            "vm": vm, "token": token, "servers": [list(server) for server in place.servers], "ca": place.ca,
            "server_name": place.server_name, "interval_ms": place.interval_ms, "spool_dir": str(place.folder / vm),
            "spool_max_bytes": place.spool_max_bytes,
        }  # fmt: skip
        super().__init__(Config(body, "/"), {})
        self.number, self.vm, self.produced, self.raised = number, vm, 0, False
        self._journal, self._drops = journal, drops
        self._seqs: deque[int] = deque(maxlen=100_000)

    @property
    def link(self) -> Link:
        return self._link

    @property
    def outbox(self) -> Outbox:
        return self._outbox

    @property
    def tick_at(self) -> float:
        """Monotonic second of the next tick."""
        return self._tick_at

    def tick(self) -> None:
        """One measuring round: noted in the journal first, then handed to the outbox."""
        time_ms = self._schedule.stamp(time.time() * 1000.0)
        seq = self._sequence.take()
        values = row(self.number, seq, time_ms, self.raised)
        self._journal.note(self.number, seq, time_ms, self.raised)
        payload = wire.pack_frame(SCHEMA.id, seq, time_ms, 0, values)[HEAD:]
        kept, dropped = self._outbox.kept, self.stats.dropped_frames
        self._seqs.append(seq)
        self._outbox.put(seq, time_ms, payload, SCHEMA)
        self._note_drops(kept + 1, self.stats.dropped_frames - dropped)
        self.produced += 1
        self._plan()

    def _note_drops(self, kept: int, count: int) -> None:
        """The oldest go first: of the frames kept before, which are the newest of all produced, the first."""
        if count > 0:
            for seq in list(self._seqs)[-kept:][:count]:
                self._drops.note(self.number, seq, 0, False)

    def end(self) -> None:
        """Say good-bye and keep on disk what is not acknowledged."""
        self._link.farewell(0.05)
        self._outbox.spill()
        self._spool.close()

    def told(self) -> dict[str, object]:
        """Its place for the status file."""
        return {
            "number": self.number,
            "produced": self.produced,
            "kept": self._outbox.kept,
            "dropped": self.stats.dropped_frames,
            "replayed": self.stats.replayed_frames,
            "reconnects": self.stats.reconnects,
            "up": self._link.up,
            "error": self._link.error,
        }
