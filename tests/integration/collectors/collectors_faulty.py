"""An agent with bad luck: what it has measured must come home over links that are cut at random, in two lanes."""

import asyncio
import random
import time
from collections.abc import Callable

from mcisd.model import wire
from tests.integration.collectors.collectors_agent import Connection

FRAMES = 150
STEP_MS = 100


class FaultyAgent:
    """Has measured most of its frames already, and must bring all home over a link that is cut at random."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.vm = f"vm-{number}"
        start = int(time.time() * 1000) - FRAMES * STEP_MS
        self.frames = [
            (seq, start + seq * STEP_MS + rng.randrange(STEP_MS), number * 1e6 + seq) for seq in range(1, FRAMES + 1)
        ]
        self.kept = {seq: (at, value) for seq, at, value in self.frames}
        self.link = 0
        self._rng = rng

    async def run(
        self, port: Callable[[], int], ca: str, over: asyncio.Event, stalled: Callable[[], int] = lambda: 0
    ) -> None:
        """Link after link until the bad luck is over, then one that is left in peace. ``port`` says whom to call,
        ``stalled`` how many links the receiver has ended as it could not publish: then a last link was not the last."""
        while not over.is_set():
            try:
                await self._link(await Connection.open(port(), ca), self._rng.uniform(0.1, 2.0), last=False)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.05)
        while True:
            before = stalled()
            await self._link(await Connection.open(port(), ca), 20.0, last=True)
            if stalled() == before:
                return

    def windows(self, width_ms: int) -> dict[int, list[float]]:
        """What the store must hold: window → the values in it."""
        found: dict[int, list[float]] = {}
        for _, at, value in self.frames:
            found.setdefault(at // width_ms * width_ms, []).append(value)
        return found

    async def _link(self, connection: Connection, seconds: float, last: bool) -> None:
        try:
            now = int(time.time() * 1000)
            kind, welcome = await connection.hello(self.vm, time_ms=now, link=self.link)
            assert kind == wire.WELCOME
            number, width = welcome["link"], welcome["window_ms"]
            assert isinstance(number, int)
            assert isinstance(width, int)
            assert number > self.link
            self.link = number
            connection.schema()
            async with asyncio.timeout(seconds):
                await self._talk(connection, now - now % width, last)
        finally:
            connection.cut()

    async def _talk(self, connection: Connection, window: int, last: bool) -> None:
        """The two lanes in any mixture."""
        old = [seq for seq, (at, _) in self.kept.items() if at < window]
        new = [seq for seq, (at, _) in self.kept.items() if at >= window]
        lanes = (list(reversed(old)), list(reversed(new)))
        while lanes[0] or lanes[1]:
            lane = lanes[self._rng.randrange(2)] or lanes[0] or lanes[1]
            seq = lane.pop()
            at, value = self.kept[seq]
            connection.frame(seq, at, [value, value], old=lane is lanes[0])
            if self._rng.random() < 0.1:
                await connection.drain()
                await asyncio.sleep(self._rng.uniform(0, 0.05))
        connection.send(wire.pack_json(wire.REPLAY_DONE, {}))
        if last:
            connection.send(wire.pack_json(wire.BYE, {}))
        while True:
            try:
                kind, payload = await connection.receive()
            except ConnectionResetError:
                if last:
                    return  # the receiver has taken all up to our BYE
                raise
            if kind == wire.ACK:
                for seqs, cursor in zip((old, new), wire.unpack_ack(payload), strict=True):
                    for seq in seqs:
                        if seq <= cursor:
                            self.kept.pop(seq, None)
