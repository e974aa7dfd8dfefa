"""How far a consumer has come: places that were read, and when all that followed from them is stored. Pure."""

from collections import deque
from collections.abc import Mapping


class Progress:
    """Marks are counts of changes given to the ledger: a place is safe when the ledger has written up to its mark."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, dict[int, int]]] = deque()

    def __bool__(self) -> bool:
        """Something is not taken as safe yet."""
        return bool(self._waiting)

    def note(self, positions: Mapping[int, int], mark: int) -> None:
        """All up to these offsets of these partitions is done with once the ledger has written ``mark`` changes."""
        if self._waiting and self._waiting[-1][0] == mark:
            self._waiting[-1][1].update(positions)
        else:
            self._waiting.append((mark, dict(positions)))

    def take(self, written: int) -> dict[int, int]:
        """The positions that are safe and were not taken before: partition → offset."""
        safe: dict[int, int] = {}
        while self._waiting and self._waiting[0][0] <= written:
            safe |= self._waiting.popleft()[1]
        return safe

    def forget(self, partitions: frozenset[int]) -> None:
        """These are another's now."""
        for _, positions in self._waiting:
            for partition in partitions & positions.keys():
                del positions[partition]
