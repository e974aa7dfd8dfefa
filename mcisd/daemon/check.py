"""`mcisd check`: is everything there that a process with these settings needs? In: settings. Out: one finding a part,
each with what to do if it is not well. Nothing is left changed, except that missing topics, buckets and tables are made
as a start would make them.
"""

import asyncio
import shutil
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mcisd.aio.clock import SystemClock
from mcisd.daemon.adapters import open_bus, open_metadata, open_series
from mcisd.daemon.home import installation_id
from mcisd.daemon.settings import Settings
from mcisd.daemon.shared import check_key
from mcisd.daemon.vault import Vault
from mcisd.model.errors import ConfigError, McisdError
from mcisd.model.records import Node
from mcisd.store.base import MetadataStore
from mcisd.store.secrets import SecretBox

PATIENCE = 30.0
LEAST_FREE = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: ``text`` says what it is, or what is wrong with it and the remedy."""

    part: str
    ok: bool
    text: str


async def check(settings: Settings) -> list[Finding]:
    """Look at every part; one that is ill does not hide the others."""
    parts: list[tuple[str, Callable[[Settings], Awaitable[str]]]] = [
        ("home", _home),
        ("metadata", _metadata),
        ("series", _series),
        ("bus", _bus),
        ("ports", _ports),
    ]
    return [await _one(name, look, settings) for name, look in parts]


def show(findings: list[Finding]) -> None:
    """A line each."""
    for finding in findings:
        print(f"{'ok ' if finding.ok else 'BAD'}  {finding.part:9} {finding.text}")


async def _one(part: str, look: Callable[[Settings], Awaitable[str]], settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE):
            return Finding(part, True, await look(settings))
    except TimeoutError:
        return Finding(part, False, f"no answer within {PATIENCE:g} s. Remedy: see that it runs and can be reached")
    except McisdError as error:
        remedy = f". Remedy: {error.remedy}" if error.remedy else ""
        return Finding(part, False, error.message + remedy)


async def _home(settings: Settings) -> str:
    home = settings.home
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE:
        raise ConfigError(
            f"{home} has only {free >> 20} MiB free", remedy="make room, or set MCISD_HOME to another disk"
        )
    return f"{home}, {free >> 30} GiB free"


async def _metadata(settings: Settings) -> str:
    store = await open_metadata(settings, SystemClock())
    try:
        text = await store.check()
        await check_key(store, Vault(SecretBox.load(settings.secret_key_file)), await installation_id(store))
        return f"{text}, {await _processes(store)} processes known, the secret key fits"
    finally:
        await store.close()


async def _processes(store: MetadataStore) -> int:
    async with store.reading() as tx:
        return await tx.count(Node)


async def _series(settings: Settings) -> str:
    store = await open_series(settings, SystemClock())
    try:
        return await store.check()
    finally:
        await store.close()


async def _bus(settings: Settings) -> str:
    bus = await open_bus(settings, SystemClock())
    try:
        return await bus.check()
    finally:
        await bus.close()


async def _ports(settings: Settings) -> str:
    """The ports this process would listen on are free, or a daemon of ours has them."""
    roles, doors = settings.node.roles, dict[str, tuple[str, int]]()
    if "collector" in roles:
        doors["collector"] = (settings.collector.host, settings.collector.port)
    door = settings.api if "api" in roles else settings.node
    doors["api" if "api" in roles else "health"] = (door.host, door.port)
    said = []
    for name, (host, port) in doors.items():
        said.append(f"{name} {host}:{port} {_state(host, port)}")
    return ", ".join(said)


def _state(host: str, port: int) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"in use ({error.strerror.lower() if error.strerror else error})"
    return "free"
