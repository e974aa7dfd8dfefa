"""What the alarms need from outside, and no more; the composition root fills these in.

``Bus`` and ``Store`` are the parts of the bus and metadata-store ports that are used here, structurally equal to them.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mcisd.model.events import Event
from mcisd.model.records import Record

R = TypeVar("R", bound=Record)


class Delivered(Protocol):
    """One message of a topic."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes: ...


class Feed(Protocol):
    """One consumer of one group; ``fetch`` waits for at least one message."""

    async def fetch(self, most: int = 1000) -> Sequence[Delivered]: ...
    async def commit(self, positions: dict[int, int]) -> None: ...
    async def close(self) -> None: ...


class Bus(Protocol):
    def subscribe(self, topic: str, group: str, *, durable: bool = False, from_start: bool = False) -> Feed: ...


class Transaction(Protocol):
    """All or nothing; serializable."""

    async def get(self, kind: type[R], uid: str) -> R | None: ...
    async def find(
        self,
        kind: type[R],
        /,
        *,
        order: str = "created_at",
        descending: bool = False,
        limit: int | None = None,
        **where: str,
    ) -> list[R]: ...
    async def first(self, kind: type[R], /, **where: str) -> R | None: ...
    async def insert(self, record: R) -> R: ...
    async def update(self, record: R) -> R: ...
    async def delete(self, record: Record) -> None: ...
    async def emit(self, event: Event) -> Event: ...


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
