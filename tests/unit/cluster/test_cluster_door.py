"""Who may send samples: tokens against rows of a real store, also when a thousand ask at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.daemon.agents.doorkeeper import Doorkeeper, new_token
from mcisd.model.identity import Identity
from mcisd.model.records import Vm
from mcisd.store.base import MetadataStore, Transaction
from mcisd.store.metadata.sql import open_store

TOKEN, HASHED = new_token()


class Counted:
    """A store that counts how often it is read."""

    def __init__(self, store: MetadataStore) -> None:
        self.store, self.reads = store, 0

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        self.reads += 1
        return self.store.reading()


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[Counted]:
    store = await open_store(f"sqlite:///{tmp_path}/metadata.db", ManualClock())
    rows = [
        Vm(uid=f"vm-{i}", mcis="mc-1", mcis_name="web", ns="demo", name=f"a-{i}", connection="aws", provider="aws",
           region="us-east-1", agent_token_hash=HASHED if i else "")
        for i in range(1_000)
    ]  # fmt: skip
    async with store.transaction() as tx:
        await tx.insert_all(rows)
    yield Counted(store)
    await store.close()


async def test_a_token_opens_for_its_vm_alone(counted: Counted) -> None:
    door = Doorkeeper(counted)  # type: ignore[arg-type]  # it only reads
    assert await door.authenticate("vm-7", TOKEN) == Identity(
        vm="vm-7", host="a-7", ns="demo", infra="web", provider="aws", region="us-east-1", connection="aws"
    )
    assert door.region("vm-7") == "us-east-1"
    assert await door.authenticate("vm-7", TOKEN + "x") == "forged"
    assert await door.authenticate("vm-0", TOKEN) == "revoked"
    assert await door.authenticate("vm-none", TOKEN) == "unknown"
    door.forget("vm-7")
    assert door.region("vm-7") == ""


async def test_a_thousand_at_once_are_a_few_looks(counted: Counted) -> None:
    door = Doorkeeper(counted)  # type: ignore[arg-type]  # it only reads
    answers = await asyncio.gather(*(door.authenticate(f"vm-{i}", TOKEN) for i in range(1_000)))
    assert answers[0] == "revoked"
    assert [one.vm for one in answers[1:] if isinstance(one, Identity)] == [f"vm-{i}" for i in range(1, 1_000)]
    assert counted.reads <= 3


async def test_who_gives_up_does_not_take_the_others_with_it(counted: Counted) -> None:
    door = Doorkeeper(counted)  # type: ignore[arg-type]  # it only reads
    first = asyncio.ensure_future(door.authenticate("vm-1", TOKEN))
    others = [asyncio.ensure_future(door.authenticate(f"vm-{i}", TOKEN)) for i in range(2, 20)]
    await asyncio.sleep(0)
    first.cancel()
    assert all(isinstance(answer, Identity) for answer in await asyncio.gather(*others))
