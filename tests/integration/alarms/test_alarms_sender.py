"""The sender goes from process to process, and old messages go. The store is real; the receiver keeps what it gets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.alarms.ports import Store
from mcisd.alarms.prune import prune_messages
from mcisd.alarms.sender import LOOK_S, Sender
from mcisd.model.alarms import AlarmPhase, AlarmState, Channel, Message, MessageKind, MessageState
from mcisd.store.metadata import SqlStore, open_store
from tests.integration.alarms.alarms_bench import until
from tests.integration.alarms.alarms_bomb import Bomb, BombedStore
from tests.unit.alarms.alarms_kit import START

FIRING, RESOLVED = MessageKind.FIRING, MessageKind.RESOLVED
DAY = 86_400.0


class Inbox:
    """Implements the Notifier port; takes everything, at the bomb's pleasure."""

    def __init__(self, bomb: Bomb, got: list[str]) -> None:
        self._bomb, self._got = bomb, got

    async def prepare(self) -> None:
        """There is nothing to load."""

    async def send(self, url: str, title: str, body: str, kind: str) -> None:
        await self._bomb.pass_by()
        self._got.append(title)
        await self._bomb.pass_by()


class Post:
    def __init__(self, store: SqlStore, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.got: list[str] = []

    def sender(self, bomb: Bomb) -> Sender:
        store: Store = BombedStore(self.store, bomb)
        return Sender(store=store, notifier=Inbox(bomb, self.got), unseal=lambda _: "json://", clock=self.clock)

    async def write(self, episode: str, *kinds: MessageKind, created_at: float = 0.0, state: str = "queued") -> None:
        async with self.store.transaction() as tx:
            for kind in kinds:
                row = Message(
                    uid=f"{episode}:{kind}:ops",
                    created_at=created_at,
                    channel="ops",
                    rule="al-cpu",
                    kind=kind,
                    title=f"{episode} {kind}",
                    body="",
                    state=MessageState(state),
                )
                await tx.insert(row)

    async def uids(self, state: str) -> list[str]:
        async with self.store.reading() as tx:
            return [message.uid for message in await tx.find(Message, state=state)]

    async def all_sent(self) -> bool:
        return not await self.uids("queued")


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    clock = ManualClock(START)
    store = await open_store(f"sqlite:///{tmp_path}/metadata.db", clock)
    async with store.transaction() as tx:
        await tx.insert(Channel(uid="ch-ops", name="ops", scheme="json"))
    yield Post(store, clock)
    await store.close()


async def run(sender: Sender, bomb: Bomb, post: Post) -> None:
    """Until all is sent or the work is taken away."""
    task = asyncio.create_task(sender.run())
    for _ in range(2000):
        if bomb.hit.is_set() or await post.all_sent():
            break
        await asyncio.sleep(0.002)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_cancelled_at_any_await_another_process_goes_on(post: Post) -> None:
    at, reached = 1, True
    while reached:
        post.got.clear()
        await post.write(f"ep-{at}", FIRING, RESOLVED)
        bomb = Bomb(at)
        await run(post.sender(bomb), bomb, post)
        reached = bomb.hit.is_set()
        await run(post.sender(Bomb(0)), Bomb(0), post)
        assert await post.all_sent()
        assert list(dict.fromkeys(post.got)) == [f"ep-{at} firing", f"ep-{at} resolved"]
        assert len(post.got) <= 3, "only what was on its way comes twice"
        at += 1
    assert at > 15, "the sweep covered every await"


class SlowInbox(Inbox):
    """Nothing arrives before it is told to go on."""

    def __init__(self, got: list[str]) -> None:
        super().__init__(Bomb(0), got)
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    async def prepare(self) -> None:
        """There is nothing to load."""

    async def send(self, url: str, title: str, body: str, kind: str) -> None:
        self.reached.set()
        await self.go.wait()
        await super().send(url, title, body, kind)


async def test_a_sender_that_does_not_know_yet_of_the_other_repeats_only_what_is_on_its_way(post: Post) -> None:
    for i in range(20):
        await post.write(f"ep-{i:02d}", FIRING)
    slow = SlowInbox(post.got)
    late = Sender(store=post.store, notifier=slow, unseal=lambda _: "json://", clock=post.clock)
    task = asyncio.create_task(late.deliver_due("ops"))
    await slow.reached.wait()
    await post.sender(Bomb(0)).deliver_due("ops")
    slow.go.set()
    await task
    assert len(set(post.got)) == 20
    assert len(post.got) == 21
    assert await post.all_sent()


async def test_it_looks_by_itself_for_messages_that_others_made(post: Post) -> None:
    await post.write("ep-0", FIRING)
    task = asyncio.create_task(post.sender(Bomb(0)).run())
    async with asyncio.timeout(30):
        while not await post.uids("sent"):  # noqa: ASYNC110 - rows ring no bell; from then on it waits for its next look
            await asyncio.sleep(0.01)
    await post.write("ep-1", FIRING)
    await asyncio.sleep(0.05)
    assert post.got == ["ep-0 firing"]
    await post.clock.advance(LOOK_S + 1)
    await until(lambda: post.got == ["ep-0 firing", "ep-1 firing"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_old_messages_go_but_not_those_queued_or_of_an_alarm_that_still_fires(post: Post) -> None:
    old, new = START - 31 * DAY, START - DAY
    for i in range(600):
        await post.write(f"ep-{i}", FIRING, created_at=old + i, state="sent" if i % 2 else "dead")
    await post.write("ep-new", FIRING, created_at=new, state="sent")
    await post.write("ep-queued", FIRING, created_at=old)
    await post.write("ep-fires", FIRING, created_at=old, state="sent")
    async with post.store.transaction() as tx:
        await tx.insert(
            AlarmState(
                uid="al-cpu:vm-a",
                rule="al-cpu",
                subject="vm-a",
                ns="demo",
                mcis="web",
                phase=AlarmPhase.FIRING,
                episode="ep-fires",
            )
        )
    assert await prune_messages(post.store, START - 30 * DAY) == 600
    assert sorted(await post.uids("sent")) == ["ep-fires:firing:ops", "ep-new:firing:ops"]
    assert await post.uids("queued") == ["ep-queued:firing:ops"]
    assert await prune_messages(post.store, START - 30 * DAY) == 0
