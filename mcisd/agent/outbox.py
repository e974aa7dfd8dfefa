"""Frames not yet acknowledged: ticks in, frames to send out, in order of their sequence numbers.

In normal operation the few frames that wait for their acknowledgement are in memory and no disk is touched. While the
link is down, or when memory is full, they go to the spool; everything on disk is older than everything in memory.
An acknowledgement covers all smaller numbers, so frames are only ever sent in order: a live frame waits behind the
replay, never overtakes it.
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
        self._sent = 0
        self._replay_to = 0
        self._place = ("", 0)
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

    def link_up(self, acked: "int") -> "None":
        """A link stands; the daemon has all frames up to ``acked``. The others will be sent on it, oldest first."""
        if acked > self.last:
            # It knows numbers this installation never gave: the spool was wiped and the clock set back. What waits here
            # bears numbers already taken and cannot be told apart any more.
            self._dropped += self.kept
        self._forget(acked)
        self._up = True
        self._sent = acked
        self._replay_to = self.last
        self._place = ("", 0)

    def link_down(self) -> "None":
        """The link is gone: from now on frames go to disk."""
        self._up = False

    def acked(self, seq: "int") -> "None":
        """The daemon has all frames up to ``seq``. More than was sent on this link cannot be meant."""
        self._forget(min(seq, self._sent))

    def next(self) -> "tuple[int, bytes] | None":
        """``(schema id, FRAME payload)`` of the next frame to send on this link, or None if all are sent."""
        found = self._spool.next_after(self._sent, self._place)
        if found is not None:
            self._sent, payload, self._place = found
            return self._flagged(payload)
        for seq, _, payload in self._memory:
            if seq > self._sent:
                self._sent = seq
                return self._flagged(payload)
        return None

    def schema(self, number: "int") -> "bytes | None":
        """The SCHEMA message of a schema id that a kept frame refers to, or None if it is lost."""
        return self._schemas.get(number) or self._spool.schema(number)

    def lost(self) -> "None":
        """The frame handed out last cannot be sent, its schema is lost; it goes with the next acknowledgement."""
        self._dropped += 1
        self._count()

    def _flagged(self, payload: "bytes") -> "tuple[int, bytes]":
        if self._sent <= self._replay_to:
            changed = bytearray(payload)
            flags = _FLAGS.unpack_from(payload, _FLAGS_AT)[0]
            _FLAGS.pack_into(changed, _FLAGS_AT, flags | wire.REPLAYED)
            payload = bytes(changed)
        return _schema_of(payload), payload

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
