"""The metadata store port: rows with versions, and events written in the same transaction (outbox)."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from mcisd.model.events import Event
from mcisd.model.records import Call, Record

R = TypeVar("R", bound=Record)
Where = str | int | bool | float | None | Sequence[str]
"""A value to be equal to, or a list of which it is one."""


class Transaction(Protocol):
    """All or nothing. Serializable against other transactions of the same store."""

    async def get(self, kind: type[R], uid: str, /) -> R | None: ...

    async def find(
        self,
        kind: type[R],
        /,
        *,
        order: str = "created_at",
        descending: bool = False,
        limit: int | None = None,
        **where: Where,
    ) -> list[R]:
        """Rows whose columns fit ``where`` (only names in ``kind.columns``, ``uid`` and ``created_at``)."""

    async def first(self, kind: type[R], /, **where: Where) -> R | None: ...

    async def count(self, kind: type[R], /, **where: Where) -> int: ...

    async def insert(self, record: R) -> R:
        """The row with version 1, ``created_at`` set if it was 0; ConflictError if the uid or a unique combination is
        taken."""

    async def update(self, record: R) -> R:
        """Replace the row read at ``record.version``; returns it with the next version; StaleError if it changed."""

    async def delete(self, record: Record) -> None:
        """Remove the row; nothing happens if it is gone."""

    async def emit(self, event: Event) -> Event:
        """Write an event into the outbox; it is there exactly if this transaction is. Returns it with its sequence."""


class MetadataStore(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin; commit at the end of the block, roll back if it raises. Do no outside call inside."""

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """A consistent view for reading only; does not block writers."""

    async def events_after(self, sequence: int, limit: int) -> list[Event]:
        """Events in order, for the relay and for SSE resumption."""

    async def last_sequence(self) -> int: ...

    async def add_calls(self, calls: Sequence[Call]) -> None:
        """Append to the call history and keep it within its bound."""

    async def prune(self, events_before: float, calls_before: float) -> int:
        """Drop events and calls older than these times; returns how many."""

    async def close(self) -> None: ...
