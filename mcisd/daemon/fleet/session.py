"""What one SSH channel gives: bytes as they arrive in, bounded text and how it ended out. Callbacks, no tasks."""

import asyncio
import codecs

import asyncssh

from mcisd.aio.queue import BoundedQueue

STDOUT, STDERR, EXIT = "stdout", "stderr", "exit"
MAX_LINE = 64 * 1024


class _Ending(asyncssh.SSHClientSession[bytes]):
    """Remembers how the command ended; ``done`` is set when its channel has closed."""

    def __init__(self) -> None:
        self.exit_status: int | None = None
        self.signal = ""
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.done = asyncio.Event()

    @property
    def told(self) -> bool:
        """The host said how the command ended."""
        return self.exit_status is not None or self.signal != ""

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        self.channel = chan

    def give_up(self) -> None:
        """Kill what runs and close the channel; a host that ignores the signal hangs up the command instead."""
        if self.channel is not None and not self.done.is_set():
            self.channel.kill()
            self.channel.abort()

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.signal = signal

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set()


class Capture(_Ending):
    """Keeps up to ``limit`` bytes of each stream; the rest is taken and dropped, so the command never waits for us."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.truncated = False
        self._limit = limit
        self._kept: dict[bool, bytearray] = {False: bytearray(), True: bytearray()}

    def data_received(self, data: bytes, datatype: int | None) -> None:
        kept = self._kept[datatype == asyncssh.EXTENDED_DATA_STDERR]
        room = self._limit - len(kept)
        if len(data) > room:
            self.truncated = True
        kept += data[: max(0, room)]

    def text(self, *, stderr: bool) -> str:
        """What was kept of one stream."""
        return self._kept[stderr].decode("utf-8", "replace")


class Lines(_Ending):
    """Cuts both streams into lines and queues them; a full queue makes the host wait (the channel stops reading)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.queue: BoundedQueue[tuple[str, str]] = BoundedQueue(size)
        self._backlog: list[tuple[str, str]] = []
        self._paused = False
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {STDOUT: decoder("replace"), STDERR: decoder("replace")}
        self._rests = {STDOUT: "", STDERR: ""}

    def data_received(self, data: bytes, datatype: int | None) -> None:
        name = STDERR if datatype == asyncssh.EXTENDED_DATA_STDERR else STDOUT
        self._cut(name, self._decoders[name].decode(data))
        self.flow()

    def connection_lost(self, exc: Exception | None) -> None:
        for name, decoder in self._decoders.items():
            self._cut(name, decoder.decode(b"", final=True))
            if self._rests[name]:
                self._backlog.append((name, self._rests[name]))
        super().connection_lost(exc)
        self.flow()

    def flow(self) -> None:
        """Move lines to the queue while there is room; pause the channel while there is none. Call after each get."""
        moved = 0
        while moved < len(self._backlog) and self.queue.offer(self._backlog[moved]):
            moved += 1
        del self._backlog[:moved]
        if self.done.is_set():
            if not self._backlog:
                self.queue.close()
        elif bool(self._backlog) != self._paused:
            self._paused = not self._paused
            if self.channel is not None:
                (self.channel.pause_reading if self._paused else self.channel.resume_reading)()

    def _cut(self, name: str, text: str) -> None:
        *lines, rest = (self._rests[name] + text).split("\n")
        while len(rest) > MAX_LINE:
            lines.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rests[name] = rest
        self._backlog.extend((name, line) for line in lines)
