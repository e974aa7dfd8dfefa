"""Drops whoever uses the store at one of its awaits in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mcisd.alarms.ports import Store, Transaction


@dataclass
class Bomb:
    """Counts awaits; the one numbered ``at`` (0: none) and all after it never return."""

    at: int
    count: int = 0
    hit: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_by(self) -> None:
        self.count += 1
        if self.at and self.count >= self.at:
            self.hit.set()
            await asyncio.Event().wait()


class BombedTransaction:
    def __init__(self, inner: Transaction, bomb: Bomb) -> None:
        self._inner, self._bomb = inner, bomb

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*args: Any, **more: Any) -> Any:
            await self._bomb.pass_by()
            return await method(*args, **more)

        return call


class BombedStore:
    """Stops before and after the beginning, each call and the commit."""

    def __init__(self, inner: Store, bomb: Bomb) -> None:
        self._inner, self._bomb = inner, bomb

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._wrap(self._inner.transaction())

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._wrap(self._inner.reading())

    @asynccontextmanager
    async def _wrap(self, inner: AbstractAsyncContextManager[Transaction]) -> AsyncIterator[Transaction]:
        await self._bomb.pass_by()
        async with inner as tx:
            yield BombedTransaction(tx, self._bomb)
            await self._bomb.pass_by()
        await self._bomb.pass_by()
