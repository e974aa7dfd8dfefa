"""Several processes in one: nodes and leases on one real store, and a clock that stands still until told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mcisd.aio.clock import ManualClock
from mcisd.daemon.leases import Leases, Work
from mcisd.daemon.nodes import Nodes, new_node
from mcisd.store.base import MetadataStore
from mcisd.store.metadata.sql import open_store


@dataclass
class Process:
    """One process; ``does`` is the work it has begun and not ended."""

    nodes: Nodes
    leases: Leases
    does: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)

    async def begin(self, name: str) -> None:
        self.does.add(name)
        self.log.append(f"+{name}")

    async def end(self, name: str) -> None:
        self.does.remove(name)
        self.log.append(f"-{name}")


@dataclass
class Cluster:
    store: MetadataStore
    clock: ManualClock
    jobs: set[str]
    alive: list[Process] = field(default_factory=list)

    async def start(self, name: str, *, alone: bool = False, role: str = "controller") -> Process:
        nodes = Nodes(self.store, self.clock, new_node(name, (role,), "1", ""), alone=alone)
        process = Process(nodes, Leases(self.store, nodes))

        async def names() -> list[str]:
            return sorted(self.jobs)

        process.leases.add(Work("controller", names, process.begin, process.end))
        await nodes.join()
        self.alive.append(process)
        return process

    def kill(self, process: Process) -> None:
        """It does nothing any more, and tidies nothing up."""
        self.alive.remove(process)

    async def turn(self, seconds: float = 2.0) -> None:
        """Time goes on; everybody alive beats and looks once."""
        await self.clock.advance(seconds)
        for process in self.alive:
            await process.nodes.beat()
        for process in self.alive:
            await process.leases.settle()

    async def settle(self, turns: int = 3) -> None:
        for _ in range(turns):
            await self.turn()

    def done_by(self) -> dict[str, list[str]]:
        """Job → names of the living processes that do it."""
        return {job: [p.nodes.me.name for p in self.alive if job in p.does] for job in sorted(self.jobs)}


@asynccontextmanager
async def cluster(folder: Path, jobs: int = 20) -> AsyncIterator[Cluster]:
    clock = ManualClock()
    store = await open_store(f"sqlite:///{folder}/metadata.db", clock)
    try:
        yield Cluster(store, clock, {f"job-{i:02}" for i in range(jobs)})
    finally:
        await store.close()
