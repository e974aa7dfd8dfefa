"""Agents and several collectors, without a network: where hellos are sent, who is asked to move, and that it ends."""

import random
from collections import Counter
from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.daemon.agents.manager import CollectorManager
from mcisd.daemon.nodes import Nodes, new_node
from mcisd.store.base import MetadataStore
from mcisd.store.metadata.sql import open_store


class Field:
    """Collectors and their agents. An agent that is moved says hello elsewhere at once, and is sent on from there."""

    def __init__(self, store: MetadataStore, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.posts: dict[tuple[str, int], Post] = {}

    async def start(self, name: str, region: str = "") -> "Post":
        nodes = Nodes(self.store, self.clock, new_node(name, ("collector",), "1", region))
        nodes.announce("", f"{name}:8881")
        await nodes.join()
        post = self.posts[name, 8881] = Post(self, nodes, self.clock)
        nodes.load = lambda: (post.links(), 0.0)
        return post

    async def beat(self, seconds: float = 2.0) -> None:
        await self.clock.advance(seconds)
        for post in self.posts.values():
            await post.nodes.beat()

    async def settle(self, looks: int = 10) -> None:
        for _ in range(looks):
            await self.beat(1.0)
            for post in list(self.posts.values()):
                await post.manager.settle()

    def hello(self, vm: str, servers: list[tuple[str, int]], sent: bool = False) -> None:
        """An agent calls the first of these that is there; where it is sent it may stay, unless that one drains."""
        for _ in range(5):
            there = [self.posts[server] for server in servers if server in self.posts]
            sent, post = sent or there[0] is not self.posts.get(servers[0]), there[0]
            elsewhere = post.manager.order(vm, stay=sent)
            if not elsewhere:
                post.agents.add(vm)
                return
            servers, sent = elsewhere, True
        pytest.fail(f"{vm} was sent about without end")

    def counts(self) -> dict[str, int]:
        return {name: post.links() for (name, _), post in self.posts.items()}


class Post:
    """One collector: the manager's Door."""

    def __init__(self, field: Field, nodes: Nodes, clock: ManualClock) -> None:
        self.field, self.nodes = field, nodes
        self.agents: set[str] = set()
        self.manager = CollectorManager(nodes, self, lambda vm: "asia" if vm.endswith("a") else "", clock)

    def connected(self) -> list[str]:
        return sorted(self.agents)

    def links(self) -> int:
        return len(self.agents)

    async def move(self, vm: str, servers: list[tuple[str, int]]) -> None:
        self.agents.remove(vm)
        self.field.hello(vm, servers, sent=True)


@pytest.fixture
async def field(tmp_path: Path) -> "Field":
    clock = ManualClock()
    return Field(await open_store(f"sqlite:///{tmp_path}/metadata.db", clock), clock)


@pytest.fixture(autouse=True)
async def closed(field: Field) -> object:
    yield
    await field.store.close()


def storm(field: Field, count: int, suffix: str = "") -> list[str]:
    """That many agents come at once, at collectors taken by chance."""
    rng = random.Random(7)
    vms = [f"vm-{i:04}{suffix}" for i in range(count)]
    for vm in vms:
        field.hello(vm, [rng.choice(list(field.posts))])
    return vms


async def test_a_storm_is_divided_evenly_and_nobody_is_asked_to_move_afterwards(field: Field) -> None:
    for name in ("c1", "c2", "c3"):
        await field.start(name)
    await field.beat()
    storm(field, 900)
    assert all(230 < count < 380 for count in field.counts().values())
    await field.settle()
    assert sum(post.manager.moved for post in field.posts.values()) == 0


async def test_one_that_joins_gets_its_share_by_moves_that_end(field: Field) -> None:
    await field.start("c1")
    await field.beat()
    storm(field, 400)
    await field.start("c2")
    await field.settle(20)
    first, second = field.counts()["c1"], field.counts()["c2"]
    assert first + second == 400
    assert 150 < second < 250
    moved = sum(post.manager.moved for post in field.posts.values())
    assert moved < 1.2 * second
    await field.settle()
    assert sum(post.manager.moved for post in field.posts.values()) == moved


async def test_when_one_dies_the_others_take_its_agents_and_keep_their_own(field: Field) -> None:
    for name in ("c1", "c2", "c3"):
        await field.start(name)
    await field.beat()
    storm(field, 300)
    kept = {name: set(post.agents) for (name, _), post in field.posts.items()}
    dead = field.posts.pop(("c2", 8881))
    servers = dead.manager.everyone()
    for _ in range(6):
        await field.beat()
    for vm in dead.agents:
        field.hello(vm, servers)
    await field.settle()
    assert sum(field.counts().values()) == 300
    assert kept["c1"] <= field.posts["c1", 8881].agents
    assert kept["c3"] <= field.posts["c3", 8881].agents


async def test_a_drained_collector_gives_all_away(field: Field) -> None:
    first = await field.start("c1")
    await field.start("c2")
    await field.beat()
    storm(field, 60)
    await first.nodes.drain()
    await field.beat()
    await first.manager.drain()
    assert field.counts() == {"c1": 0, "c2": 60}


async def test_draining_alone_does_not_wait_for_anybody(field: Field) -> None:
    only = await field.start("c1")
    storm(field, 5)
    await only.nodes.drain()
    await only.manager.drain()
    assert field.counts() == {"c1": 5}


async def test_agents_go_to_collectors_of_their_region(field: Field) -> None:
    for name, region in (("c1", "asia"), ("c2", "asia"), ("c3", "europe")):
        await field.start(name, region)
    await field.beat()
    storm(field, 20, "a")
    counts = Counter({name: count for name, count in field.counts().items() if count})
    assert set(counts) == {"c1", "c2"}
