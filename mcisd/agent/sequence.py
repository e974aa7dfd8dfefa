"""Sequence numbers that grow strictly over the whole life of an installation, restarts and clock steps included."""

import os

BLOCK = 1000


class Sequence:
    """Hands out numbers; a block of them is reserved in a file before its first one is used."""

    def __init__(self, path: "str", now_ms: "int", above: "int" = 0) -> "None":
        """Start above what ``path`` has reserved, above ``above``, and not below ``now_ms`` (epoch milliseconds)."""
        self._path = path
        self._reserved = _stored(path)
        self._next = max(self._reserved + 1, now_ms, above + 1)

    def take(self) -> "int":
        """The next number."""
        if self._next > self._reserved:
            self._reserve()
        number = self._next
        self._next += 1
        return number

    def above(self, number: "int") -> "None":
        """Go on above ``number``: the daemon has seen it."""
        self._next = max(self._next, number + 1)

    def _reserve(self) -> "None":
        self._reserved = self._next + BLOCK
        part = self._path + ".part"
        try:
            with open(part, "w") as file:
                file.write("%d\n" % self._reserved)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._path)
        except OSError:
            # A full disk must not stop measuring. The clock keeps numbers apart over a restart, as long as it is right;
            # asking again at every number until the disk takes it closes the gap.
            self._reserved = self._next


def _stored(path: "str") -> "int":
    try:
        with open(path) as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return 0  # first start, or a torn file: the clock is the floor then
