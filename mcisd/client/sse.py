"""Server-sent events: bytes of a stream in, messages out. Pure."""

from dataclasses import dataclass, field

MAX_LINE = 1_048_576
"""Longest line taken, in bytes; a longer one ends the stream with ValueError."""


@dataclass(frozen=True, slots=True)
class Sse:
    """One message. ``id`` is the newest id seen so far, "" if there was none."""

    event: str
    data: str
    id: str


@dataclass(slots=True)
class SseParser:
    """Feed it what arrives, cut anywhere. ``last_id`` is that of the newest complete message: a stream that broke is
    resumed after it, so a message that was cut off comes again."""

    last_id: str = ""
    _buffer: bytes = b""
    _event: str = ""
    _id: str | None = None
    _data: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[Sse]:
        """The messages that ``chunk`` completes."""
        self._buffer += chunk
        if b"\n" not in chunk:
            self._check_length()
            return []
        *lines, self._buffer = self._buffer.split(b"\n")
        self._check_length()
        found = [self._line(line.removesuffix(b"\r").decode("utf-8", "replace")) for line in lines]
        return [message for message in found if message is not None]

    def _check_length(self) -> None:
        if len(self._buffer) > MAX_LINE:
            raise ValueError(f"a line of the event stream is longer than {MAX_LINE} bytes")

    def _line(self, line: str) -> Sse | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id":
                self._id = value
        return None

    def _finish(self) -> Sse | None:
        data, event = self._data, self._event
        self.last_id = self.last_id if self._id is None else self._id
        self._data, self._event, self._id = [], "", None
        return Sse(event or "message", "\n".join(data), self.last_id) if data else None
