"""The metadata store port: rows with versions, and events written in the same transaction (outbox)."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from mcisd.model.events import Event
from mcisd.model.records import Call, Record

R = TypeVar("R", bound=Record)
Where = str | int | bool | float | None | Sequence[str]
"""A value to be equal to, or a list of which it is one."""


class Transaction(Protocol):
    """All or nothing. Writing transactions run one after the other, whatever process they are of: what one has read is
    true until it commits, and events get their sequence in the order of the commits, so a reader that has seen one has
    seen all before it."""

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

    async def insert_all(self, records: Sequence[R]) -> list[R]:
        """``insert`` for many of one kind, in a few statements; all or none of them are there."""

    async def update_all(self, records: Sequence[R]) -> list[R]:
        """``update`` for many of one kind, in a few statements; StaleError if any of them changed meanwhile."""

    async def delete(self, record: Record) -> None:
        """Remove the row; nothing happens if it is gone."""

    async def emit(self, event: Event) -> Event:
        """Write an event into the outbox; it is there exactly if this transaction is. Returns it with its sequence."""

    async def emit_all(self, events: Sequence[Event]) -> list[Event]:
        """``emit`` for many, in their order."""

    def hint(self, *names: str) -> None:
        """Once this transaction is committed, tell all who listen, in this process and in others. See ``on_hint``."""


class MetadataStore(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin; commit at the end of the block, roll back if it raises. Do no outside call inside."""

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """A consistent view for reading only; does not block writers."""

    def on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after each commit that wrote events, by this process or another; the answer ends it. Must be quick.

        As with hints a call may be lost with a connection, never more than one in a row: who relies on it looks by
        itself now and then.
        """

    def on_hint(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call back with each name hinted by a committed transaction or by ``hint``, of this process or another."""

    async def hint(self, *names: str) -> None:
        """Tell all who listen, now, outside of a transaction."""

    async def events_after(self, sequence: int, limit: int) -> list[Event]:
        """Events in order, for the relay and for SSE resumption."""

    async def last_sequence(self) -> int: ...

    async def add_calls(self, calls: Sequence[Call]) -> None:
        """Append to the call history and keep it within its bound."""

    async def prune(self, events_before: float, calls_before: float) -> int:
        """Drop events and calls older than these times; returns how many."""

    async def check(self) -> str:
        """One line on what the store is (engine, version, schema revision); StoreError says what is wrong with it."""

    async def close(self) -> None: ...
