"""Agents are installed, upgraded in place, and left alone where that fails; on a real store, SSH is emulated."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcisd.aio.clock import ManualClock
from mcisd.daemon.agents.doorkeeper import token_hash
from mcisd.daemon.agents.keeper import UPGRADE_EVERY, UPGRADE_PAUSE, AgentKeeper
from mcisd.daemon.events import EventMaker
from mcisd.model.errors import HostUnreachableError, McisdError
from mcisd.model.records import Vm
from mcisd.model.states import AgentState
from mcisd.store.base import MetadataStore
from mcisd.store.metadata.sql import open_store
from tests.unit.cluster.test_cluster_links import a_vm, kinds, row


@dataclass
class Host:
    """What stands for SSH: notes the tokens it was given, and fails as it is told."""

    tokens: list[str] = field(default_factory=list)
    failures: list[McisdError] = field(default_factory=list)

    async def install(self, vm: Vm, token: str) -> str:
        if self.failures:
            raise self.failures.pop(0)
        self.tokens.append(token)
        return "2"


@asynccontextmanager
async def desk(folder: Path, *vms: Vm) -> AsyncIterator[tuple[MetadataStore, AgentKeeper, Host, ManualClock]]:
    clock, host = ManualClock(), Host()
    store = await open_store(f"sqlite:///{folder}/metadata.db", clock)
    async with store.transaction() as tx:
        await tx.insert_all(vms)
    owns = {"aws"}.__contains__
    keeper = AgentKeeper(store, clock, EventMaker(clock), host.install, version="2", owns=owns)
    try:
        yield store, keeper, host, clock
    finally:
        await keeper.close()
        await store.close()


async def one_pass(keeper: AgentKeeper) -> None:
    """A pass, and all that it began."""
    await keeper._pass()
    await asyncio.gather(*keeper._tasks._tasks)


OLD = a_vm(1, agent=AgentState.UP, agent_node="nd-c", agent_version="1", agent_token_hash="old")


async def test_an_agent_is_installed_where_there_is_none(tmp_path: Path) -> None:
    async with desk(tmp_path, a_vm(1, agent=AgentState.ABSENT)) as (store, keeper, host, _):
        await one_pass(keeper)
        found = await row(store, 1)
        assert (found.agent, found.agent_version) == (AgentState.INSTALLING, "2")
        assert found.agent_token_hash == token_hash(host.tokens[0])
        assert await kinds(store) == ["agent.installing"]


async def test_vms_of_connections_of_another_process_are_left_to_it(tmp_path: Path) -> None:
    theirs = a_vm(1, agent=AgentState.ABSENT, connection="gcp")
    async with desk(tmp_path, theirs, replace(OLD, uid="vm-2", name="a-2", connection="gcp")) as (_, keeper, host, _c):
        await one_pass(keeper)
        assert host.tokens == []


async def test_an_old_agent_is_upgraded_in_place(tmp_path: Path) -> None:
    async with desk(tmp_path, OLD, a_vm(2, agent=AgentState.UP, agent_version="2")) as (store, keeper, host, clock):
        await one_pass(keeper)
        found = await row(store, 1)
        assert (found.agent, found.agent_version) == (AgentState.INSTALLING, "2")
        assert len(host.tokens) == 1
        assert await kinds(store) == ["agent.upgrading"]
        await clock.advance(UPGRADE_EVERY)
        async with store.transaction() as tx:
            await tx.update(replace(await row(store, 1), agent=AgentState.UP))
        await one_pass(keeper)
        assert len(host.tokens) == 1


async def test_an_upgrade_that_fails_leaves_the_old_agent_and_its_token(tmp_path: Path) -> None:
    async with desk(tmp_path, OLD) as (store, keeper, host, clock):
        host.failures.append(HostUnreachableError("no way to its SSH port"))
        await one_pass(keeper)
        found = await row(store, 1)
        assert (found.agent, found.agent_token_hash, found.agent_version) == (AgentState.UP, "old", "1")
        assert await kinds(store) == ["agent.upgrading", "agent.failed"]
        await clock.advance(UPGRADE_EVERY)
        await one_pass(keeper)
        assert host.tokens == []
        await clock.advance(UPGRADE_PAUSE)
        await one_pass(keeper)
        assert len(host.tokens) == 1
