"""Messages from the store to real receivers on loopback: a web server, an SMTP server, and ports where nobody is."""

import asyncio
import json
import logging
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import default as modern
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller

from mcisd.aio.clock import ManualClock
from mcisd.aio.retry import Backoff
from mcisd.alarms.notify import AppriseNotifier, mask, scheme, usable
from mcisd.alarms.ports import Transaction
from mcisd.alarms.sender import Sender
from mcisd.demo.ports import free_port
from mcisd.model.alarms import Channel, Message, MessageKind, MessageState
from mcisd.model.errors import DeliveryError
from mcisd.store.metadata import SqlStore, open_store
from tests.integration.alarms.alarms_bench import until
from tests.unit.alarms.alarms_kit import START


class Hook:
    """A web server that answers what it is told to and keeps what it got; at 200 it has accepted the message."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.answers: list[int] = []
        self.accepted: list[dict[str, Any]] = []
        self.refused = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.accepted.append(json.loads(await request.text()))
        else:
            self.refused += 1
        return web.Response(status=status)

    @property
    def titles(self) -> list[str]:
        return [got["title"] for got in self.accepted]


class Room:
    def __init__(self, store: SqlStore, clock: ManualClock, notifier: AppriseNotifier, hook: Hook) -> None:
        self.store, self.clock, self.notifier, self.hook = store, clock, notifier, hook
        self.urls = {"ops": f"json://user:s3cretpass@127.0.0.1:{hook.port}/s3cretpath"}
        self.sender = self.fresh()

    def fresh(self, deadline_s: float = 3600.0) -> Sender:
        return Sender(
            store=self.store,
            notifier=self.notifier,
            unseal=lambda channel: self.urls[channel.name],
            clock=self.clock,
            deadline_s=deadline_s,
            backoff=Backoff(1.0, 60.0),
            rng=random.Random(1),
        )

    async def queue(self, *kinds: MessageKind, channel: str = "ops", episode: str = "ep-1-r1") -> None:
        for kind in kinds:
            row = Message(
                uid=f"{episode}:{kind}:{channel}",
                channel=channel,
                rule="al-cpu",
                kind=kind,
                title=f"[{kind.upper()}] web/a-1",
                body=f"line one\nepisode: {episode}",
            )
            async with self.store.transaction() as tx:
                await tx.insert(row)

    async def states(self) -> list[MessageState]:
        async with self.store.reading() as tx:
            return [message.state for message in await tx.find(Message)]

    async def one(self) -> Message:
        async with self.store.reading() as tx:
            [message] = await tx.find(Message)
        return message


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    clock = ManualClock(START)
    store = await open_store(f"sqlite:///{tmp_path}/metadata.db", clock)
    async with store.transaction() as tx:
        for name in ("ops", "mail"):
            await tx.insert(Channel(uid=f"ch-{name}", name=name, scheme="json"))
    hook, notifier = Hook(), AppriseNotifier(timeout=10.0)
    await hook.start()
    yield Room(store, clock, notifier, hook)
    await notifier.close()
    await hook.stop()
    await store.close()


FIRING, RESOLVED = MessageKind.FIRING, MessageKind.RESOLVED


async def test_firing_then_resolved_arrive_once_and_are_marked_sent(room: Room) -> None:
    await room.queue(FIRING, RESOLVED)
    assert await room.sender.deliver_due("ops") is None
    assert await room.sender.deliver_due("ops") is None
    assert room.hook.titles == ["[FIRING] web/a-1", "[RESOLVED] web/a-1"]
    assert "episode: ep-1-r1" in room.hook.accepted[0]["message"]
    assert [got["type"] for got in room.hook.accepted] == ["failure", "success"]
    assert await room.states() == [MessageState.SENT] * 2


async def test_an_error_of_the_receiver_is_tried_again_and_the_resolved_waits_for_its_firing(room: Room) -> None:
    room.hook.answers = [500, 503]
    await room.queue(FIRING, RESOLVED)
    for expected in ("500", "503"):
        wait = await room.sender.deliver_due("ops")
        assert wait is not None
        assert wait > 0
        async with room.store.reading() as tx:
            tried, second = await tx.find(Message)
        assert expected in tried.error
        assert second.attempts == 0
        again = await room.sender.deliver_due("ops")
        assert again is not None, "not before its time"
        await room.clock.advance(wait)
    assert await room.sender.deliver_due("ops") is None
    assert room.hook.refused == 2
    assert room.hook.titles == ["[FIRING] web/a-1", "[RESOLVED] web/a-1"]


async def test_a_receiver_that_is_down_gets_its_message_when_it_is_up_also_from_another_sender(room: Room) -> None:
    await room.hook.stop()
    await room.queue(FIRING)
    wait = await room.sender.deliver_due("ops")
    assert wait is not None
    assert (await room.one()).attempts == 1
    await room.hook.start()
    await room.clock.advance(wait)
    assert await room.fresh().deliver_due("ops") is None
    assert room.hook.titles == ["[FIRING] web/a-1"]


async def test_after_the_deadline_it_is_a_dead_letter_and_an_event_and_the_next_goes_on(room: Room) -> None:
    sender = room.fresh(deadline_s=30.0)
    room.hook.answers = [500] * 20
    await room.queue(FIRING, RESOLVED)
    for _ in range(20):
        wait = await sender.deliver_due("ops")
        if (await room.states())[0] is MessageState.DEAD:
            break
        assert wait is not None
        await room.clock.advance(wait)
    events = await room.store.events_after(0, 10)
    assert events[0].type == "alarm.message-dead"
    assert (events[0].data["channel"], events[0].data["message"]) == ("ops", "ep-1-r1:firing:ops")
    assert room.hook.refused >= 3


@pytest.mark.parametrize(("channel", "url"), [("gone", ""), ("ops", "nosuchscheme://s3cretpass"), ("ops", "json://")])
async def test_what_can_never_be_delivered_is_dead_at_once(room: Room, channel: str, url: str) -> None:
    room.urls["ops"] = url
    await room.queue(FIRING, channel=channel)
    assert await room.sender.deliver_due(channel) is None
    message = await room.one()
    assert (message.state, message.attempts) == (MessageState.DEAD, 1)
    assert "s3cret" not in message.error


class DeafStore:
    """The real store, but writing never comes to an end: a crash right after the delivery."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.reached = asyncio.Event()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._store.reading()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self.reached.set()
        await asyncio.Event().wait()
        async with self._store.transaction() as tx:
            yield tx


async def test_a_crash_between_delivery_and_note_repeats_the_message_with_the_same_episode(room: Room) -> None:
    deaf = DeafStore(room.store)
    sender = Sender(store=deaf, notifier=room.notifier, unseal=lambda _: room.urls["ops"], clock=room.clock)
    await room.queue(FIRING)
    task = asyncio.create_task(sender.deliver_due("ops"))
    await deaf.reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await room.sender.deliver_due("ops") is None
    first, second = room.hook.accepted
    assert first == second
    assert first["message"].endswith("episode: ep-1-r1")


async def test_one_slow_channel_hinders_no_other(room: Room) -> None:
    listener = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    room.urls["mail"] = f"json://127.0.0.1:{listener.getsockname()[1]}/?rto=1&cto=1"
    await room.queue(FIRING, channel="mail", episode="ep-2-r1")
    task = asyncio.create_task(room.sender.run())
    await room.queue(FIRING)
    room.sender.wake()
    await until(lambda: len(room.hook.accepted) == 1)
    assert MessageState.QUEUED in await room.states()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    listener.close()


async def test_the_loops_send_what_was_left_and_what_comes_and_retry_by_the_clock(room: Room) -> None:
    room.hook.answers = [500]
    await room.queue(FIRING)
    task = asyncio.create_task(room.sender.run())
    await until(lambda: room.hook.refused == 1)
    await asyncio.sleep(0.1)
    await room.clock.advance(2.0)
    await until(lambda: room.hook.titles == ["[FIRING] web/a-1"])
    await room.queue(RESOLVED)
    room.sender.wake()
    await until(lambda: room.hook.titles == ["[FIRING] web/a-1", "[RESOLVED] web/a-1"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_hanging_receiver_is_given_up_in_time() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    notifier = AppriseNotifier(timeout=0.3)
    with pytest.raises(DeliveryError, match=r"json://\*\*\* did not answer") as gave_up:
        await notifier.send(f"json://127.0.0.1:{listener.getsockname()[1]}/?rto=1&cto=1", "t", "b", "test")
    assert gave_up.value.retriable
    await notifier.close()
    listener.close()


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(message_from_bytes(envelope.content, policy=modern))
        return "250 OK"


async def test_mail_arrives_as_plain_lines(room: Room) -> None:
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=free_port())
    server.start()
    room.urls["mail"] = f"mailto://127.0.0.1:{server.port}?from=mcisd@example.org&to=ops@example.org&format=text"
    await room.queue(FIRING, channel="mail")
    assert await room.sender.deliver_due("mail") is None
    server.stop()
    [mail] = box.mails
    assert mail["subject"] == "[FIRING] web/a-1"
    assert mail["to"] == "ops@example.org"
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().splitlines()[:2] == ["line one", "episode: ep-1-r1"]


async def test_a_test_message_arrives_or_says_why_not(room: Room) -> None:
    channel = Channel(uid="ch-ops", name="ops", scheme="json")
    await room.sender.test_channel(channel)
    assert room.hook.titles == ["[TEST] channel ops"]
    room.hook.answers = [404]
    with pytest.raises(DeliveryError, match="answered 404"):
        await room.sender.test_channel(channel)


async def test_no_secret_of_a_url_is_shown(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    room.sender = room.fresh(deadline_s=0.0)
    room.hook.answers = [500]
    await room.queue(FIRING)
    await room.sender.deliver_due("ops")
    shown = (await room.one()).error
    await room.queue(RESOLVED)
    await room.hook.stop()
    await room.sender.deliver_due("ops")
    shown += caplog.text + str(await room.store.events_after(0, 10))
    assert "dead letter" in shown
    assert "s3cret" not in shown


def test_a_url_is_shown_by_its_scheme_alone() -> None:
    assert mask("slack://tokenA/tokenB") == "slack://***"
    assert (scheme("JSON://x"), scheme("not a url"), scheme("a b://x")) == ("json", "unknown", "unknown")
    assert usable("json://127.0.0.1/")
    assert not usable("slack://")
