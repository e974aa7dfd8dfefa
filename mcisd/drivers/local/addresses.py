"""Loopback addresses for VMs: 127.80.0.0/12, one second octet per region. In: region, what is in use. Out: candidates.

Several clouds may live on one machine: each begins at its own point in the area, and an address somebody else listens
on is simply skipped by the one who tries to open it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from mcisd.drivers.local import catalogue

_TRIES = 200
_HOSTS = 254
_SPACE = 256 * _HOSTS


class Addresses:
    """Gives addresses in turn, so that one just freed is not the next one given."""

    def __init__(self, home: Path) -> None:
        digest = hashlib.sha256(str(home).encode()).digest()
        self._first = digest[0] * _HOSTS
        self._next: dict[str, int] = {}

    def candidates(self, region: str, used: set[str]) -> Iterator[str]:
        """Free addresses to try, best first; a bounded number of them."""
        octet = catalogue.place(region).octet
        for _ in range(_TRIES + len(used)):
            number = self._next.get(region, self._first)
            self._next[region] = (number + 1) % _SPACE
            address = f"127.{octet}.{number // _HOSTS}.{number % _HOSTS + 1}"
            if address not in used:
                yield address
