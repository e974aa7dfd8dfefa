"""A writer whose process is stopped in the middle of a window, under load, and wakes after another has taken over."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from mcisd.bus.base import Outgoing
from mcisd.bus.kafka import KafkaBus
from mcisd.model.identity import Identity
from mcisd.model.samples import FIRST, Column, Schema, pack_frame
from tests.external import kafka_samples
from tests.external.kafka_kit import until
from tests.external.kafka_samples import Ledger, Place

pytestmark = pytest.mark.engines

SCHEMA = Schema.of((Column("cpu", "usage", (), "g"),))
WIDTH_MS = 5_000
VMS = 24
STEP_S = 0.25
STOPPED_S = 15.0


class Fleet:
    """VMs that are measured as time goes by; their frames go to the bus as a collector would publish them."""

    def __init__(self, bus: KafkaBus) -> None:
        self.expected: dict[tuple[str, int], int] = {}
        self._bus = bus
        self._vms = [f"vm-{i}" for i in range(VMS)]
        self._number = 0

    async def begin(self) -> None:
        """Say what the columns mean, and who the VMs are."""
        await self._bus.publish("schemas", SCHEMA.key.hex(), SCHEMA.to_json().encode())
        identities: list[Outgoing] = [(vm, Identity(vm, vm, "ns", "shop").to_json().encode(), {}) for vm in self._vms]
        await self._bus.publish_all("identities", identities)

    async def measure(self, seconds: float) -> None:
        """For so long, and until a window has begun and is half over."""
        end = time.time() + seconds
        while time.time() < end or not 0.4 < time.time() * 1000 / WIDTH_MS % 1 < 0.6:
            await self._tick(int(time.time() * 1000))
            await asyncio.sleep(STEP_S)

    async def _tick(self, now_ms: int) -> None:
        self._number += 1
        messages: list[Outgoing] = []
        for vm in self._vms:
            window = vm, now_ms - now_ms % WIDTH_MS
            flags = 0 if window in self.expected else FIRST
            self.expected[window] = self.expected.get(window, 0) + 1
            columns = np.array([random.random()], "<f8").tobytes()
            messages.append((vm, pack_frame(vm, SCHEMA.key, self._number, now_ms, flags, columns, 1), {}))
        await self._bus.publish_all("metrics", messages)


@pytest.fixture
async def place(kafka_servers: str, kafka_prefix: str, tmp_path: Path) -> Place:
    return Place(kafka_servers, kafka_prefix, tmp_path / "tls", WIDTH_MS)


@pytest.fixture
async def writers(place: Place, tmp_path: Path) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Two, in processes of their own, that write into one ledger."""
    arguments = ("-m", kafka_samples.__name__, place.servers, place.prefix, str(tmp_path), str(WIDTH_MS))
    processes = [await asyncio.create_subprocess_exec(sys.executable, *arguments) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        await process.wait()


@pytest.mark.timeout(240)
async def test_a_writer_that_was_stopped_takes_nothing_back(
    place: Place, writers: list[asyncio.subprocess.Process], tmp_path: Path
) -> None:
    """Each of them in turn, so that whatever partitions they have each is once replaced."""
    ledger, bus = Ledger(tmp_path / "ledger"), await place.bus()
    fleet = Fleet(bus)
    await fleet.begin()
    await fleet.measure(1.0)
    await until(lambda: bool(ledger.rows()))
    for writer in writers:
        await fleet.measure(WIDTH_MS / 1000)
        os.kill(writer.pid, signal.SIGSTOP)
        await fleet.measure(STOPPED_S)
        os.kill(writer.pid, signal.SIGCONT)
    await fleet.measure(2.0)
    await until(lambda: {window: int(row[0]) for window, row in ledger.rows().items()} == fleet.expected, patience=60)
    await asyncio.sleep(2.0)
    assert {window: int(row[0]) for window, row in ledger.rows().items()} == fleet.expected, (
        "and nothing comes after it"
    )
    await bus.close()
