"""What each operation asks of PostgreSQL, in statements: each is a round trip during which the write lock is held."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from mcisd.aio.clock import SystemClock
from mcisd.model.events import Event
from mcisd.model.records import Namespace
from mcisd.store.metadata import SqlStore, open_store

pytestmark = pytest.mark.engines
MANY = 1000


class Counted:
    """Statements of the writing connection since the last look."""

    def __init__(self, store: SqlStore) -> None:
        self.statements: list[str] = []
        sa.event.listen(store._engines.write.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        self.statements.append(statement)

    def since(self) -> int:
        count = len(self.statements)
        self.statements.clear()
        return count


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[SqlStore]:
    store = await open_store(postgres_url, SystemClock())
    yield store
    await store.close()


async def test_statements_of_each_operation(store: SqlStore) -> None:
    counted = Counted(store)
    rows = [Namespace(uid=f"u{number}", name=f"n{number}") for number in range(MANY)]
    events = [Event(str(number), "t", "s", 1.0) for number in range(MANY)]
    cost: dict[str, int] = {}
    async with store.transaction() as tx:
        cost["begin"] = counted.since()
        stored = await tx.insert_all(rows)
        cost["insert_all"] = counted.since()
        stored = await tx.update_all([replace(row, description="new") for row in stored])
        cost["update_all"] = counted.since()
        await tx.emit_all(events)
        cost["emit_all"] = counted.since()
        one = await tx.insert(Namespace(uid="one", name="one"))
        cost["insert"] = counted.since()
        await tx.update(one)
        cost["update"] = counted.since()
        await tx.emit(events[0])
        cost["emit"] = counted.since()
        assert len(await tx.find(Namespace, uid=[row.uid for row in rows])) == MANY
        cost["find"] = counted.since()
    cost["commit"] = counted.since()
    assert cost == {
        "begin": 1,
        "insert_all": 1,
        "update_all": 2,
        "emit_all": 2,
        "insert": 1,
        "update": 1,
        "emit": 1,
        "find": 1,
        "commit": 0,
    }


async def test_hints_cost_one_statement(store: SqlStore) -> None:
    counted = Counted(store)
    async with store.transaction() as tx:
        tx.hint(*(f"connection {number}" for number in range(100)))
    assert counted.since() == 2


async def test_lists_of_any_length_are_one_prepared_statement(store: SqlStore) -> None:
    """A text of its own for each length would be planned anew each time."""
    counted = Counted(store)
    async with store.transaction() as tx:
        for length in (0, 1, 5, MANY):
            await tx.find(Namespace, name=[str(number) for number in range(length)])
            rows = [Namespace(uid=f"{length}-{number}", name=f"{length}-{number}") for number in range(length)]
            await tx.update_all(await tx.insert_all(rows))
    assert len(set(counted.statements)) == 5


async def test_isolation(store: SqlStore) -> None:
    """As documented: writers see what was committed until each statement, under the lock; readers have a snapshot."""
    found: list[tuple[str, str]] = []
    for connected in (store._write(), store._connect()):
        async with connected as connection:
            answers = [
                str((await connection.exec_driver_sql(f"SHOW {name}")).scalar_one())
                for name in ("transaction_isolation", "transaction_read_only")
            ]
            found.append((answers[0], answers[1]))
    assert found == [("read committed", "off"), ("repeatable read", "on")]
