"""What the collectors need of others: the bus and the series store, as far as they use them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mcisd.collectors.windows import WindowBlock
from mcisd.model.identity import NOBODY, Identity


class Message(Protocol):
    """One message of the bus."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes: ...


class FrameSubscription(Protocol):
    """One consumer of a group."""

    async def fetch(self, most: int = 1000) -> Sequence[Message]: ...
    async def commit(self, positions: dict[int, int]) -> None: ...
    async def confirm(self) -> bool: ...
    async def close(self) -> None: ...


class Handover(Protocol):
    """Told when partitions come and go; ``bus.base.Handover``."""

    async def gained(self, partitions: frozenset[int]) -> None: ...
    async def lost(self, partitions: frozenset[int]) -> None: ...


Outgoing = tuple[str, bytes, Mapping[str, str]]
"""What is to be published: key, value, headers."""


class FrameBus(Protocol):
    """The bus as the collectors use it; ``bus.base.Bus`` fits."""

    async def publish(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, int]: ...

    async def publish_all(self, topic: str, messages: Sequence[Outgoing]) -> list[tuple[int, int]]: ...

    def subscribe(
        self,
        topic: str,
        group: str,
        *,
        durable: bool = False,
        from_start: bool = False,
        handover: Handover | None = None,
        look_back: Callable[[], float] | None = None,
        gather_s: float = 0.0,
    ) -> FrameSubscription: ...

    def follow(
        self, topic: str, reader: str, *, from_start: bool = False, gather_s: float = 0.0
    ) -> FrameSubscription: ...

    def on_safe(self, topic: str, callback: Callable[[int, int], None]) -> Callable[[], None]: ...


class WindowStore(Protocol):
    """Where windows go; ``store.series.base.SeriesStore.write`` behind an adapter."""

    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        """Durable when it returns; the number of rows written. StoreError if it could not."""
