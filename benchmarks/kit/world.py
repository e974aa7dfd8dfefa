"""The daemon as it is run, with VMs that it believes to have, for agents of ours to be. In: a home and a number of VMs.
Out: processes with their ids, collectors' addresses, tokens, their own metrics.

The rows of VMs are written through the store port, as no cloud is behind them; nothing of the daemon is emulated.
"""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from mcisd.aio.clock import SystemClock
from mcisd.daemon.adapters import open_metadata
from mcisd.daemon.agents.doorkeeper import new_token
from mcisd.daemon.settings import Settings, load_settings
from mcisd.daemon.vault import Vault
from mcisd.demo.ports import free_ports
from mcisd.demo.process import RoleProcess, environment
from mcisd.demo.scaled import Engines
from mcisd.model.alarms import Aggregation, AlarmRule, Channel, Message, RuleLevel
from mcisd.model.ids import new_id
from mcisd.model.records import Mcis, Namespace, Vm
from mcisd.model.states import AgentState, Goal, VmState
from mcisd.store.secrets import SecretBox

NS, INFRA, CHANNEL = "bench", "bench", "hook"
PER_MCIS = 100
CALL = aiohttp.ClientTimeout(total=30.0)
EMBEDDED = {"daemon": "api,controller,collector,writer,alarms"}
Vms = list[tuple[str, str]]
"""VM uid and its agent's token."""


class World:
    """Made by ``world``; everything runs when it is there. ``engines`` is None where the daemon is embedded."""

    def __init__(self, home: Path, roles: dict[str, str], engines: Engines | None) -> None:
        self.home = home
        self.engines = engines
        self.vms: Vms = []
        self.processes: dict[str, RoleProcess] = {}
        ports = free_ports(2 * len(roles))
        self._roles = roles
        self._ports = dict(zip(roles, ports[::2], strict=True))
        self._health = dict(zip(roles, ports[1::2], strict=True))

    async def start(self) -> None:
        """The processes, one after the other: the first makes topics, buckets, tables and the secret key."""
        for name, role in self._roles.items():
            process = RoleProcess(self.home, name, self._environment(name, role), ("127.0.0.1", self._health[name]))
            await process.start()
            self.processes[name] = process

    async def stop(self) -> None:
        await asyncio.gather(*(process.stop() for process in self.processes.values()))

    @property
    def collectors(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", self._ports[name]) for name, role in self._roles.items() if "collector" in role]

    @property
    def ca(self) -> Path:
        """What agents trust; it is there once the first collector runs."""
        return min((self.home / "tls").rglob("ca.pem"))

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes.values()]

    @property
    def engine_pids(self) -> list[int]:
        """Broker and InfluxDB, which is what samples go through."""
        if self.engines is None or self.engines.kafka is None or self.engines.influx is None:
            return []
        return [self.engines.kafka.pid(), self.engines.influx.pid]

    @property
    def settings(self) -> Settings:
        name, role = next(iter(self._roles.items()))
        return load_settings(environment=self._environment(name, role))

    def _environment(self, name: str, role: str) -> dict[str, str]:
        health = str(self._health[name])
        settings = (self.engines.settings() if self.engines else {}) | {
            "NODE_NAME": name,
            "NODE_ROLES": role,
            "NODE_PORT": health,
            "API_PORT": health if "api" in role else "0",
            "COLLECTOR_PORT": str(self._ports[name]),
            "AGENTS_ENABLED": "false",
            "ALARMS_SYSTEM_DEFAULTS": "false",
        }
        return environment(self.home, settings)

    async def metrics(self, name: str) -> dict[str, float]:
        """What ``/metrics`` of a process says: ``name{labels}`` → value."""
        token = self.home / "token"
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"} if token.exists() else {}
        url = f"http://127.0.0.1:{self._health[name]}/metrics"
        async with aiohttp.ClientSession(timeout=CALL, headers=headers) as session, session.get(url) as answer:
            answer.raise_for_status()
            rows = [line.rsplit(" ", 1) for line in (await answer.text()).splitlines() if not line.startswith("#")]
        return {series: float(value) for series, value in rows}

    async def total(self, role: str, name: str) -> float:
        """The sum of a metric over the processes of a role; of all series whose name begins so."""
        found = 0.0
        for process, roles in self._roles.items():
            if role in roles:
                found += sum(v for series, v in (await self.metrics(process)).items() if series.startswith(name))
        return found

    async def messages(self) -> list[Message]:
        """The messages of alarms so far, in the order of their making."""
        store = await open_metadata(self.settings, SystemClock(), auto_upgrade=False)
        try:
            async with store.reading() as tx:
                return sorted(await tx.find(Message), key=lambda one: one.created_at)
        finally:
            await store.close()

    async def tell(self, count: int, rules: Sequence[AlarmRule] = (), webhook: str = "") -> None:
        """Write ``count`` VMs, the rules, and the channel they name, in one transaction."""
        store = await open_metadata(self.settings, SystemClock(), auto_upgrade=False)
        vault = Vault(SecretBox.load(self.settings.secret_key_file))
        groups = [Mcis(uid=new_id("mi"), ns=NS, name=f"{INFRA}-{i}") for i in range((count - 1) // PER_MCIS + 1)]
        rows: list[Vm] = []
        for number in range(count):
            token, hashed = new_token()
            rows.append(_vm(number, groups[number // PER_MCIS], hashed))
            self.vms.append((rows[-1].uid, token))
        async with store.transaction() as tx:
            await tx.insert(Namespace(uid=new_id("ns"), name=NS))
            await tx.insert_all(groups)
            await tx.insert_all(rows)
            if webhook:
                sealed = vault.seal(webhook, f"channel:{CHANNEL}")
                await tx.insert(Channel(uid=new_id("ch"), name=CHANNEL, scheme="json", sealed=sealed))
            await tx.insert_all(list(rules))
            tx.hint("rules")
        await store.close()


def _vm(number: int, group: Mcis, token_hash: str) -> Vm:
    return Vm(
        uid=new_id("vm"), mcis=group.uid, mcis_name=group.name, ns=NS, name=f"n{number}", connection="none",
        provider="bench", region="here", goal=Goal.RUNNING, state=VmState.RUNNING, pending=None, dirty=False,
        agent=AgentState.INSTALLING, agent_token_hash=token_hash, started_at=time.time(),
    )  # fmt: skip


def rule_of(measurement: str, field: str, threshold: float) -> AlarmRule:
    """A rule for each VM of the namespace, without a time to hold."""
    return AlarmRule(
        uid=new_id("ar"), ns=NS, mcis=f"{INFRA}-0", name="too-high", level=RuleLevel.VM, measurement=measurement,
        field_name=field, aggregation=Aggregation.LAST, threshold=threshold, channels=(CHANNEL,),
    )  # fmt: skip


@asynccontextmanager
async def world(roles: dict[str, str] | None = None) -> AsyncIterator[World]:
    """The daemon in one process, or with ``roles`` (process → roles) on the real engines; all gone at the end."""
    if (task := asyncio.current_task()) is not None:  # else the processes would outlive a benchmark that is ended
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    home = Path(tempfile.mkdtemp(prefix="mcisd-bench-"))
    home.chmod(0o755)  # PostgreSQL runs as another user
    engines = Engines(home) if roles else None
    made = None
    try:
        if engines is not None:
            await engines.start()
        made = World(home, roles or EMBEDDED, engines)
        await made.start()
        yield made
    finally:
        if made is not None:
            await made.stop()
        if engines is not None:
            await engines.stop()
        shutil.rmtree(home, ignore_errors=True)
