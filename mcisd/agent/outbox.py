"""Frames not yet acknowledged: ticks in, frames to send out, in two lanes, in order of their numbers in each.

In normal operation the few frames that wait for their acknowledgement are in memory and no disk is touched. While the
link is down, or when memory is full, they go to the spool; everything on disk is older than everything in memory.

When a link comes up, what is kept from before the current window is the replay lane, and the rest with all that is
measured from then on the live lane: numbers up to ``_split`` are of the replay lane. Each lane has a cursor of what was
sent and is acknowledged by itself, so neither waits for the other. A new link splits anew.
"""

import struct

from mcisd.model import wire

MYPY = False
if MYPY:
    from collections import deque

    from mcisd.agent.gather import Schema
    from mcisd.agent.probes.own import Stats
    from mcisd.agent.spool import Spool
else:
    from _collections import deque  # the same type without the rest of the package, 0.2 MB

_FLAGS_AT = struct.calcsize("<IQq")  # where the flags stand in a FRAME payload
_FLAGS = struct.Struct("<I")
_SCHEMA = struct.Struct("<I")
_NOWHERE = ("", 0)
LIVE, REPLAY = 0, 1  # the lanes


class Outbox:
    """Keeps each frame until the daemon has it safe, within bounds; counts what it must drop."""

    def __init__(self, spool: "Spool", stats: "Stats", max_frames: "int" = 64, max_bytes: "int" = 262144) -> "None":
        self._spool = spool
        self._stats = stats
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._memory: "deque[tuple[int, int, bytes]]" = deque()  # seq, time_ms, payload
        self._bytes = 0
        self._dropped = 0
        self._schemas: "dict[int, bytes]" = {}
        self._up = False
        self._split = 0
        self._replay_sent = True
        self._sent = [0, 0]  # the last number of each lane that was handed out on this link
        self._places = [_NOWHERE, _NOWHERE]  # where in the spool to look on
        self._count()

    @property
    def kept(self) -> "int":
        """Frames kept, in memory and on disk."""
        return len(self._memory) + self._spool.frames

    @property
    def last(self) -> "int":
        """The highest sequence number kept; 0 if there is none."""
        return self._memory[-1][0] if self._memory else self._spool.last

    def put(self, seq: "int", time_ms: "int", payload: "bytes", schema: "Schema") -> "None":
        """Take over one FRAME payload; ``seq`` must be above all before."""
        if schema.id not in self._schemas:
            self._schemas = {number: self._schemas[number] for number in self._used() if number in self._schemas}
            self._schemas[schema.id] = schema.message
        self._memory.append((seq, time_ms, payload))
        self._bytes += len(payload)
        self._spool.expire(time_ms)
        if not self._up or self._full():
            self.spill()
        self._count()

    def spill(self) -> "None":
        """Move what is in memory to disk; what the disk does not take stays, within the bound of memory."""
        while self._memory:
            seq, time_ms, payload = self._memory[0]
            try:
                number = _schema_of(payload)
                self._spool.keep_schema(number, self._schemas[number])
                self._spool.append(seq, time_ms, payload)
            except OSError:
                break
            self._pop()
        while self._full():
            self._pop()
            self._dropped += 1
        self._count()

    def link_up(self, before_ms: "int") -> "None":
        """A link stands. All that is kept will be sent on it; what is from before ``before_ms`` replayed."""
        self._up = True
        self._split, place = self._spool.newest_before(before_ms)
        for seq, time_ms, _ in self._memory:
            if time_ms < before_ms:
                self._split = seq
        self._sent = [self._split, 0]
        self._places = [place, _NOWHERE]
        self._replay_sent = False

    def link_down(self) -> "None":
        """The link is gone: from now on frames go to disk."""
        self._up = False

    def acked(self, replay: "int", live: "int") -> "None":
        """The daemon has the replayed frames up to ``replay`` and the live ones up to ``live``.

        More than was sent on this link cannot be meant.
        """
        live = min(live, self._sent[LIVE])
        if self._split:
            replay = min(replay, self._sent[REPLAY])
            if self._replay_sent and replay >= self._sent[REPLAY]:
                self._split, replay = 0, max(replay, live)
            self._forget(replay)
        if not self._split:
            self._forget(live)
        elif live > self._split:
            # They need not wait in memory for the replay. On disk they do, as only the front of the spool can go, but
            # they are not sent again.
            self._spool.acked(live, self._split)
            kept = [item for item in self._memory if not self._split < item[0] <= live]
            self._bytes = sum(len(item[2]) for item in kept)
            self._memory = deque(kept)

    def next(self, lane: "int") -> "tuple[int, bytes] | None":
        """``(schema id, FRAME payload)`` of the lane's next frame to send on this link, or None if all are sent."""
        if lane == REPLAY and self._replay_sent:
            return None
        item = self._after(self._sent[lane], lane)
        if item is None or (lane == REPLAY and item[0] > self._split):
            self._replay_sent = self._replay_sent or lane == REPLAY
            return None
        self._sent[lane], payload, self._places[lane] = item
        if lane == REPLAY:
            self._stats.replayed_frames += 1
            payload = _flagged(payload)
        return _schema_of(payload), payload

    def schema(self, number: "int") -> "bytes | None":
        """The SCHEMA message of a schema id that a kept frame refers to, or None if it is lost."""
        return self._schemas.get(number) or self._spool.schema(number)

    def lost(self) -> "None":
        """The frame handed out last cannot be sent, its schema is lost; it goes with the next acknowledgement."""
        self._dropped += 1
        self._count()

    def _after(self, seq: "int", lane: "int") -> "tuple[int, bytes, tuple[str, int]] | None":
        found = self._spool.next_after(seq, self._places[lane])
        if found is not None:
            return found
        for number, _, payload in self._memory:
            if number > seq:
                return number, payload, self._places[lane]
        return None

    def _forget(self, seq: "int") -> "None":
        while self._memory and self._memory[0][0] <= seq:
            self._pop()
        if self._spool.frames:
            self._spool.acked(seq)
            if not self._spool.frames:
                self._spool.forget_schemas()
        self._count()

    def _full(self) -> "bool":
        return len(self._memory) > self._max_frames or self._bytes > self._max_bytes

    def _pop(self) -> "None":
        self._bytes -= len(self._memory.popleft()[2])

    def _used(self) -> "set[int]":
        return {_schema_of(payload) for _, _, payload in self._memory}

    def _count(self) -> "None":
        stats = self._stats
        stats.dropped_frames = self._dropped + self._spool.dropped
        stats.spooled_frames = self._spool.frames
        stats.spooled_bytes = self._spool.size


def _schema_of(payload: "bytes") -> "int":
    return int(_SCHEMA.unpack_from(payload)[0])


def _flagged(payload: "bytes") -> "bytes":
    changed = bytearray(payload)
    flags = _FLAGS.unpack_from(payload, _FLAGS_AT)[0]
    _FLAGS.pack_into(changed, _FLAGS_AT, flags | wire.REPLAYED)
    return bytes(changed)
