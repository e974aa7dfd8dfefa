"""The laboratory: engines, daemon processes, a swarm, a receiver of messages, and what to do with them.

In: the size of a story. Out: load, faults on demand, and at the end an account of every sample and every alarm.
"""

import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcisd.aio.clock import SystemClock
from mcisd.collectors.tls import SERVER_NAME
from mcisd.daemon.adapters import open_metadata, open_series
from mcisd.daemon.vault import Vault
from mcisd.demo.engines_process import run_once
from mcisd.store.base import MetadataStore
from mcisd.store.secrets import SecretBox
from mcisd.store.series.base import SeriesStore
from tests.scenarios.faults import alarms
from tests.scenarios.faults.checker import Account, Checker
from tests.scenarios.faults.hook import Hook
from tests.scenarios.faults.processes import FEW, LabDaemon
from tests.scenarios.faults.produce import read_journal
from tests.scenarios.faults.truth import Truth, tell

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How big a story is. ``alarming``: so many VMs have the alarm condition when it is raised. ``prefix``: words
    before the swarm's command, such as those that run it elsewhere. ``spool_disk_bytes`` > 0: the spools are on a disk
    of that size. ``silent``: so many times every VM is silent for longer than ``no_data_s``."""

    agents: int = 100
    alarming: int = 10
    processes: dict[str, str] | None = None
    brokers: int = 1
    host: str = "127.0.0.1"
    prefix: Sequence[str] = ()
    spool_max_bytes: int = 64 << 20
    interval_s: float = 1.0
    spool_disk_bytes: int = 0
    no_data_s: float = 0.0
    silent: int = 0
    seed: int = 0


class Lab:
    """Made by ``open_lab``; everything runs when it is there."""

    def __init__(self, size: Size, home: Path) -> None:
        self.size = size
        self.home = home
        self.seed = size.seed or time.time_ns() % 1_000_000
        self.random = random.Random(self.seed)
        self.keep = False
        processes = dict(size.processes or FEW)
        self.daemon = LabDaemon(home, processes, brokers=size.brokers, host=size.host, interval_s=size.interval_s)
        self.hook = Hook()
        self.truth = Truth([], "", {})
        self.spools = home / "spools"
        self.store: MetadataStore
        self.series: SeriesStore
        self._swarm: asyncio.subprocess.Process | None = None
        self._began = time.monotonic()
        self._quiet_at = float("inf")

    def say(self, words: str) -> None:
        """One line of the story, with the seconds since its begin."""
        print(f"  {time.monotonic() - self._began:7.1f} s  {words}", flush=True)

    async def open(self, stack: AsyncExitStack) -> None:
        """Start all but the swarm; each end is registered before its beginning."""
        self.say(f"seed {self.seed}; {self.size.agents} agents, every {self.size.interval_s:g} s")
        stack.push_async_callback(self.hook.close)
        await self.hook.start()
        stack.push_async_callback(self.daemon.stop)
        await self.daemon.start()
        settings, clock = self.daemon.settings, SystemClock()
        self.store = await open_metadata(settings, clock, auto_upgrade=False)
        stack.push_async_callback(self.store.close)
        self.series = await open_series(settings, clock)
        stack.push_async_callback(self.series.close)
        vault = Vault(SecretBox.load(settings.secret_key_file))
        self.truth = await tell(self.store, vault, self.size.agents, self.hook.url, no_data_s=self.size.no_data_s)
        self.spools.mkdir()
        if self.size.spool_disk_bytes:
            disk = ["-t", "tmpfs", "-o", f"size={self.size.spool_disk_bytes}", "tmpfs", str(self.spools)]
            await run_once("mount", ["mount", *disk])
            stack.push_async_callback(run_once, "umount", ["umount", str(self.spools)])

    # --- load

    async def start_swarm(self, stack: AsyncExitStack) -> None:
        """The agents begin to measure; returns when all are linked."""
        place = {
            "servers": self.daemon.collectors, "ca": str(self.daemon.certificate()), "server_name": SERVER_NAME,
            "interval_ms": int(self.size.interval_s * 1000), "folder": str(self.spools),
            "spool_max_bytes": self.size.spool_max_bytes,
        }  # fmt: skip
        files = {name: str(self.home / name) for name in ("journal", "drops")}
        plan = files | {
            "place": place, "status": str(self.home / "status.json"),
            "alarming": list(range(1, self.size.alarming + 1)),
            "agents": [{"number": one.number, "vm": one.vm, "token": one.token} for one in self.truth.vms],
        }  # fmt: skip
        path = self.home / "plan.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(plan))
        words = [*self.size.prefix, sys.executable, "-m", "tests.scenarios.faults.swarm", str(path)]
        with (self.home / "swarm.log").open("ab") as log:
            self._swarm = await asyncio.create_subprocess_exec(
                *words, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log
            )
        stack.push_async_callback(self._end_swarm)
        await self.until_linked(60.0)

    async def command(self, word: str) -> None:
        """Tell the swarm: raise, lower, quiet."""
        assert self._swarm is not None
        assert self._swarm.stdin is not None
        self._swarm.stdin.write(f"{word}\n".encode())
        await self._swarm.stdin.drain()
        self.say(f"swarm: {word}")

    def agents(self) -> list[dict[str, object]]:
        """What each agent says of itself, at most a second old; fails if the swarm is dead."""
        if self._swarm is None or self._swarm.returncode is not None:
            raise AssertionError(f"the swarm has ended: {(self.home / 'swarm.log').read_text()[-2000:]}")
        found: list[dict[str, object]] = self._status().get("agents", [])
        return found

    def _status(self) -> dict[str, Any]:
        path = self.home / "status.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def journal(self) -> NDArray[np.void]:
        return read_journal(self.home / "journal")

    async def until_linked(self, timeout: float) -> None:
        """Every agent has a link; AssertionError tells which have none."""
        end = time.monotonic() + timeout
        while True:
            agents = self.agents()
            down = [one for one in agents if not one["up"]]
            if agents and not down:
                return
            assert time.monotonic() < end, f"{len(down)} agents stuck: {down[:3]}"
            await asyncio.sleep(0.5)

    # --- the end

    async def settle(self, timeout: float, hold: float = 5.0) -> Account:
        """Measure no more; wait, bounded, until all is stored; compare. Compared twice: what agrees must go on to."""
        self._quiet_at = time.time()
        await self.command("quiet")
        await self._until_quiet(60.0)
        await self.until_linked(60.0)
        end = time.monotonic() + timeout
        checker = Checker(self.series, {one.number: one.vm for one in self.truth.vms})
        journal = self.journal()
        while time.monotonic() < end:
            dropped, stored = self._dropped(), await checker.stored_frames(journal)
            self.say(f"{stored} of {len(journal)} frames stored, {dropped} dropped")
            if stored >= len(journal) - dropped and (await self._account(checker, journal)).agrees:
                break
            await asyncio.sleep(4.0)
        self.say(f"looking again in {hold:g} s")
        await asyncio.sleep(hold)
        return await self._account(checker, journal)

    async def _until_quiet(self, timeout: float) -> None:
        """The swarm has obeyed: from now on the journal is whole."""
        end = time.monotonic() + timeout
        while self._status()["measuring"]:
            assert time.monotonic() < end, f"the swarm still measures, {timeout:g} s after it was told not to"
            await asyncio.sleep(0.1)

    async def _account(self, checker: Checker, journal: NDArray[np.void]) -> Account:
        return await checker.account(journal, read_journal(self.home / "drops"), self._dropped())

    async def alarms(self, timeout: float) -> alarms.AlarmAccount:
        """The account of the alarms, once it agrees, or after ``timeout``."""
        end = time.monotonic() + timeout
        while True:
            silent, until = self.size.silent, self._quiet_at
            found = await alarms.account(self.store, self.truth, self.journal(), self.hook, silent, until)
            if found.agrees or time.monotonic() > end:
                return found
            await asyncio.sleep(1.0)

    def _dropped(self) -> int:
        """Frames that the agents' own counters say are lost for good."""
        return sum(int(str(one["dropped"])) for one in self.agents())

    async def _end_swarm(self) -> None:
        if self._swarm is None or self._swarm.returncode is not None or self._swarm.stdin is None:
            return
        self._swarm.stdin.close()
        try:
            async with asyncio.timeout(15.0):
                await self._swarm.wait()
        except TimeoutError:
            self._swarm.kill()
            await self._swarm.wait()


@asynccontextmanager
async def open_lab(size: Size) -> AsyncIterator[Lab]:
    """A laboratory with its load running. Its directory is kept if the story fails, with all logs."""
    home = Path(tempfile.mkdtemp(prefix="mcisd-lab-"))
    home.chmod(0o755)  # PostgreSQL runs as another user
    lab = Lab(size, home)
    try:
        async with AsyncExitStack() as stack:
            await lab.open(stack)
            await lab.start_swarm(stack)
            lab.say("all agents linked")
            yield lab
    except BaseException:
        print(f"  logs are kept in {home}", flush=True)
        raise
    if lab.keep:
        print(f"  logs are kept in {home}", flush=True)
    else:
        shutil.rmtree(home, ignore_errors=True)
