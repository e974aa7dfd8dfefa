"""What every probe is given and gives: files of /proc in (kept open, read once per tick), rows of floats out.

A *row* is ``(tags, values)``: one series group of the probe's measurement, ``values`` in the order of ``fields``.
NaN means "not measured".
"""

import os

NAN = float("nan")

MYPY = False
if MYPY:
    from typing import Protocol

    class Probe(Protocol):
        """One metric group."""

        @property
        def measurement(self) -> "str":
            """Name of the measurement, as Telegraf names it."""

        @property
        def fields(self) -> "tuple[tuple[str, str], ...]":
            """``(field, kind)`` of each value of a row; kind is ``"g"`` (gauge) or ``"c"`` (monotonic counter)."""

        def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
            """Measure now. Only a ``tick`` may move the base of differences; a measurement on demand may not."""


class ProcFiles:
    """Kernel files under one root, each opened once and read at most once per round."""

    def __init__(self, root: "str" = "/") -> "None":
        self.root = root
        self.now = 0.0  # monotonic seconds of the running round
        self._fds: "dict[str, int]" = {}
        self._texts: "dict[str, str]" = {}

    def start(self, now: "float") -> "None":
        """Begin a round at monotonic second ``now``: forget what was read before."""
        self.now = now
        self._texts.clear()

    def text(self, path: "str") -> "str":
        """The whole text of ``path`` (relative to the root), the same within a round. Raises OSError."""
        text = self._texts.get(path)
        if text is None:
            text = self._texts[path] = self._read(path)
        return text

    def once(self, path: "str") -> "str":
        """The text of a small file that is not worth an open descriptor. Raises OSError."""
        fd = os.open(self.root + path, os.O_RDONLY)
        try:
            return os.read(fd, 4096).decode("utf-8", "replace")
        finally:
            os.close(fd)

    def close(self) -> "None":
        """Close every kept descriptor."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def _read(self, path: "str") -> "str":
        fd = self._fds.get(path)
        if fd is None:
            fd = self._fds[path] = os.open(self.root + path, os.O_RDONLY | os.O_CLOEXEC)
        parts: "list[bytes]" = []
        at = 0
        while True:
            part = os.pread(fd, 16384, at)
            if not part:
                return b"".join(parts).decode("utf-8", "replace")
            parts.append(part)
            at += len(part)


def per_cent(part: "float", whole: "float") -> "float":
    """``part`` of ``whole`` in per cent; 0 of nothing is 0."""
    return 100.0 * part / whole if whole else 0.0
