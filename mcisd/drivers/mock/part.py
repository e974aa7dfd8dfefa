"""What the two halves of a mock connection (resources, VMs) share.

In: set by MockConnection. Out: used by its halves.
"""

from abc import ABC, abstractmethod

from mcisd.drivers.mock.cloud import MockCloud, Region


class Part(ABC):
    """One credential in one region of one cloud."""

    _cloud: MockCloud
    _installation: str

    @abstractmethod
    def _admitted(self) -> Region:
        """The region, if the connection is open and credential and region are right."""

    def _lag(self, token: str) -> tuple[float, float]:
        """Seconds for which a new object is not seen by lists and by get."""
        chance, settings = self._cloud.chance("lag", token), self._cloud.settings
        return chance.random() * settings.list_lag, chance.random() * settings.get_lag
