"""What the alarms need from outside, and no more; the composition root fills these in.

``Bus`` and ``Store`` are the parts of the bus and metadata-store ports that are used here, structurally equal to them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mcisd.model.events import Event
from mcisd.model.records import Record

R = TypeVar("R", bound=Record)


class Delivered(Protocol):
    """One message of a topic. ``again``: done with before, repeated because a look back was asked for."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes: ...
    @property
    def again(self) -> bool: ...


class Feed(Protocol):
    """One consumer of one group; ``fetch`` waits for at least one message."""

    async def fetch(self, most: int = 1000) -> Sequence[Delivered]: ...
    async def commit(self, positions: dict[int, int]) -> None: ...
    async def close(self) -> None: ...


class Handover(Protocol):
    """Is told which partitions come and go."""

    async def gained(self, partitions: frozenset[int]) -> None: ...
    async def lost(self, partitions: frozenset[int]) -> None: ...


class Bus(Protocol):
    async def publish_all(
        self, topic: str, messages: Sequence[tuple[str, bytes, Mapping[str, str]]]
    ) -> list[tuple[int, int]]: ...
    def subscribe(
        self,
        topic: str,
        group: str,
        *,
        durable: bool = False,
        from_start: bool = False,
        handover: Handover | None = None,
        look_back: Callable[[], float] | None = None,
    ) -> Feed: ...
    def follow(self, topic: str, reader: str, *, from_start: bool = False) -> Feed: ...
    def partition_of(self, topic: str, key: str) -> int: ...


class Transaction(Protocol):
    """All or nothing; serializable."""

    async def get(self, kind: type[R], uid: str, /) -> R | None: ...
    async def find(
        self,
        kind: type[R],
        /,
        *,
        order: str = "created_at",
        descending: bool = False,
        limit: int | None = None,
        **where: str | Sequence[str],
    ) -> list[R]: ...
    async def first(self, kind: type[R], /, **where: str) -> R | None: ...
    async def update(self, record: R) -> R: ...
    async def insert_all(self, records: Sequence[R]) -> list[R]: ...
    async def update_all(self, records: Sequence[R]) -> list[R]: ...
    async def delete(self, record: Record) -> None: ...
    async def emit(self, event: Event) -> Event: ...
    async def emit_all(self, events: Sequence[Event]) -> list[Event]: ...


class Store(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...
    def reading(self) -> AbstractAsyncContextManager[Transaction]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One VM that is not terminated. ``reports``: it should be sending samples (goal Running, its agent was up)."""

    vm: str
    name: str
    ns: str
    mcis: str
    mcis_name: str
    region: str = ""
    provider: str = ""
    reports: bool = True


class Directory(Protocol):
    async def members(self) -> Sequence[Member]:
        """Every VM there is now; one that is missing was removed on purpose."""


class Notifier(Protocol):
    async def send(self, url: str, title: str, body: str, kind: str) -> None:
        """Deliver one message, within a bound of time, or raise DeliveryError (never naming the URL's secrets).

        ``kind``: "firing", "resolved" or "test".
        """

    async def prepare(self) -> None:
        """Load what the first message would have to wait for."""
