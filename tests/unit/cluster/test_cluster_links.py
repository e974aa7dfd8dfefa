"""News of agents' links in, rows and events out, on a real store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from mcisd.aio.clock import ManualClock
from mcisd.daemon.agents.audit import LinkAudit
from mcisd.daemon.agents.links import SILENT_FOR, LinkLedger
from mcisd.daemon.events import EventMaker
from mcisd.daemon.nodes import Nodes, new_node
from mcisd.model.records import Vm
from mcisd.model.states import Action, AgentState, Goal, VmState
from mcisd.store.base import MetadataStore
from mcisd.store.metadata.sql import open_store


def a_vm(number: int, **more: object) -> Vm:
    plain = Vm(
        uid=f"vm-{number}", mcis="mc-1", mcis_name="web", ns="demo", name=f"a-{number}", connection="aws",
        state=VmState.RUNNING, goal=Goal.RUNNING, pending=None, dirty=False, agent=AgentState.INSTALLING,
    )  # fmt: skip
    return replace(plain, **more)  # type: ignore[arg-type]  # replace itself checks the names


@asynccontextmanager
async def desk(folder: Path, *vms: Vm) -> AsyncIterator[tuple[MetadataStore, LinkLedger, ManualClock]]:
    clock = ManualClock()
    store = await open_store(f"sqlite:///{folder}/metadata.db", clock)
    async with store.transaction() as tx:
        await tx.insert_all(vms)
    try:
        yield store, LinkLedger(store, clock, EventMaker(clock), "nd-me"), clock
    finally:
        await store.close()


async def row(store: MetadataStore, number: int) -> Vm:
    async with store.reading() as tx:
        found = await tx.get(Vm, f"vm-{number}")
    assert found is not None
    return found


async def kinds(store: MetadataStore) -> list[str]:
    return [event.type for event in await store.events_after(0, 100)]


async def test_up_and_down(tmp_path: Path) -> None:
    async with desk(tmp_path, a_vm(1)) as (store, ledger, clock):
        ledger.news("up", "vm-1", {})
        await ledger.drain()
        assert ((await row(store, 1)).agent, (await row(store, 1)).agent_node) == (AgentState.UP, "nd-me")
        ledger.news("down", "vm-1", {"reason": "lost"})
        await ledger.drain()
        lost = await row(store, 1)
        assert (lost.agent, lost.agent_node) == (AgentState.SILENT, "")
        assert lost.agent_next_try_at == clock.now() + SILENT_FOR
        assert await kinds(store) == ["agent.up", "agent.silent"]


async def test_many_in_one_go(tmp_path: Path) -> None:
    async with desk(tmp_path, *(a_vm(i) for i in range(300))) as (store, ledger, _):
        for i in range(300):
            ledger.news("up", f"vm-{i}", {})
            ledger.news("clock-skew", f"vm-{i}", {"skew_ms": 7000})
        await ledger.drain()
        async with store.reading() as tx:
            assert await tx.count(Vm, agent=AgentState.UP.value) == 300


async def test_an_agent_that_moved_is_not_silent_when_its_old_link_ends(tmp_path: Path) -> None:
    async with desk(tmp_path, a_vm(1, agent=AgentState.UP, agent_node="nd-other")) as (store, ledger, _):
        ledger.news("down", "vm-1", {})
        await ledger.drain()
        assert (await row(store, 1)).agent is AgentState.UP
        ledger.news("up", "vm-1", {})
        await ledger.drain()
        assert (await row(store, 1)).agent_node == "nd-me"
        assert await kinds(store) == []


async def test_news_of_a_vm_that_is_gone_or_going_change_nothing(tmp_path: Path) -> None:
    gone = a_vm(1, state=VmState.TERMINATING, pending=Action.TERMINATE)
    async with desk(tmp_path, gone) as (store, ledger, _):
        ledger.news("up", "vm-1", {})
        ledger.news("up", "vm-unknown", {})
        await ledger.drain()
        assert (await row(store, 1)).agent is AgentState.INSTALLING


async def test_a_refused_agent_is_told_but_not_while_it_is_installed(tmp_path: Path) -> None:
    async with desk(tmp_path, a_vm(1), a_vm(2, agent=AgentState.SILENT)) as (store, ledger, _):
        ledger.news("refused", "vm-1", {"code": "forged"})
        ledger.news("refused", "vm-2", {"code": "revoked"})
        await ledger.drain()
        assert await kinds(store) == ["agent.refused"]


async def test_an_agent_too_old_to_talk_to_is_installed_anew_at_once(tmp_path: Path) -> None:
    async with desk(tmp_path, a_vm(1, agent=AgentState.UP, agent_node="nd-old")) as (store, ledger, clock):
        ledger.news("refused", "vm-1", {"code": "protocol"})
        await ledger.drain()
        found = await row(store, 1)
        assert (found.agent, found.agent_next_try_at) == (AgentState.SILENT, clock.now())


async def test_agents_of_a_collector_that_is_gone_are_silent(tmp_path: Path) -> None:
    there, lost = a_vm(1, agent=AgentState.UP), a_vm(2, agent=AgentState.UP, agent_node="nd-dead")
    async with desk(tmp_path, lost) as (store, _, clock):
        nodes = Nodes(store, clock, new_node("c", ("collector",), "1", ""))
        await nodes.join()
        async with store.transaction() as tx:
            await tx.insert(replace(there, agent_node=nodes.me.uid))
        assert await LinkAudit(store, clock, EventMaker(clock), nodes).audit() == 1
        assert (await row(store, 1)).agent is AgentState.UP
        assert (await row(store, 2)).agent is AgentState.SILENT
        assert await kinds(store) == ["agent.silent"]
