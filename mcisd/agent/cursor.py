"""Which of the frames on disk are safe with the daemon, remembered in a file: a new start must not send them again.

It is not for thrift. An acknowledgement covers whole windows, a file of the spool does not: sent again from its start,
the first window would come in part, and in part it would replace what is stored.
"""

import os

from mcisd.model import wire

MOST_RANGES = 64


class Cursor:
    """All numbers up to ``acked`` are safe, and those of each range ``(above, up to)``."""

    def __init__(self, path: "str") -> "None":
        self.acked = 0
        self._ranges: "list[tuple[int, int]]" = []
        self._path = path
        for above, upto in _stored(path):
            self.add(above, upto)

    def covers(self, seq: "int") -> "bool":
        """Is the frame of this number safe?"""
        return seq <= self.acked or any(above < seq <= upto for above, upto in self._ranges)

    def add(self, above: "int", upto: "int") -> "bool":
        """Take note that all frames above ``above`` up to ``upto`` are safe; true if that is news."""
        if upto <= max(above, self.acked):
            return False
        before = (self.acked, list(self._ranges))
        kept = [one for one in self._ranges if not above <= one[0] <= one[1] <= upto]
        ranges = []
        for start, end in sorted([*kept, (above, upto)]):
            if start <= self.acked:
                self.acked = max(self.acked, end)
            else:
                ranges.append((start, end))
        self._ranges = ranges[-MOST_RANGES:]
        return before != (self.acked, self._ranges)

    def save(self) -> "None":
        """Write the file, whole or not at all. Raises OSError."""
        part = self._path + ".part"
        with open(part, "wb") as file:
            file.write(wire.to_json([[0, self.acked]] + [list(one) for one in self._ranges]).encode())
        os.replace(part, self._path)


def _stored(path: "str") -> "list[tuple[int, int]]":
    try:
        with open(path, "rb") as file:
            body = wire.from_json(file.read(65536).decode())
    except (OSError, ValueError):
        return []  # nothing was acknowledged yet, or the file is torn: all is sent again
    return [(one[0], one[1]) for one in body if _is_range(one)] if isinstance(body, list) else []


def _is_range(value: "object") -> "bool":
    return isinstance(value, list) and len(value) == 2 and all(isinstance(number, int) for number in value)
