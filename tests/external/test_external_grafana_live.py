"""The example settings of systemd/ as five real processes on real engines; the dashboard of the daemon shows them."""

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from mcisd.demo.engines_process import ServerProcess
from mcisd.demo.ports import free_ports
from mcisd.store.secrets import SecretBox
from tests.engines import InfluxServer
from tests.external.grafana_queries import Asker, Span, pages, panel_queries, sent

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(240)]
EXAMPLES = Path(__file__).resolve().parents[2] / "systemd" / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.env") if path.stem != "common")
TIMEOUT = aiohttp.ClientTimeout(total=5)
START_S, PATIENCE_S = 90.0, 90.0
QUIET = {
    "Points rejected", "Points rejected by the series store", "Lost to slow readers", "Cloud requests", "Cloud orphans",
}  # fmt: skip
"""Panels of what has not happened here: nothing was rejected or lost, and there is no cloud, so nothing was counted."""

BUSY = {"What becomes of frames and changes", "Behind"}
"""Panels about the alarms that show something although no alarm fires."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the installation; ``door`` is where it answers /readyz."""

    name: str
    process: ServerProcess
    door: str

    async def ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with aiohttp.ClientSession(timeout=TIMEOUT) as session, session.get(f"{self.door}/readyz") as answer:
                return answer.status == 200
        return False


def example(name: str) -> dict[str, str]:
    """The settings in one of the files."""
    lines = (EXAMPLES / f"{name}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture
def common(
    tmp_path: Path, kafka_servers: str, kafka_prefix: str, influx_server: InfluxServer, postgres_url: str
) -> dict[str, str]:
    """common.env with the addresses and secrets of this test."""
    settings = example("common")
    secrets = {"postgres_password": "unused", "influx_token": influx_server.token}
    for name, text in secrets.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    SecretBox.load(tmp_path / "secret.key")
    for key, value in settings.items():
        if key.endswith("_FILE"):
            settings[key] = str(tmp_path / Path(value).name)
    return settings | {
        "MCISD_BUS_URL": f"kafka://{kafka_servers}",
        "MCISD_BUS_PREFIX": kafka_prefix,
        "MCISD_STORE_METADATA_URL": postgres_url,
        "MCISD_STORE_SERIES_URL": influx_server.url,
        "MCISD_STORE_SERIES_ORG": influx_server.org,
        "MCISD_STORE_SERIES_BUCKET": influx_server.bucket,
    }


@pytest.fixture
async def members(tmp_path: Path, common: dict[str, str]) -> AsyncIterator[list[Member]]:
    """All processes, ready; ended in order."""
    every = [member(name, common, tmp_path, port, agents) for name, port, agents in ports()]
    try:
        async with asyncio.TaskGroup() as group:
            for one in every:
                group.create_task(one.process.start(one.ready, START_S))
        yield every
    finally:
        await asyncio.gather(*(one.process.stop() for one in every))


def ports() -> list[tuple[str, int, int]]:
    free = free_ports(2 * len(NAMES))
    return [(name, free.pop(), free.pop()) for name in NAMES]


def member(name: str, common: dict[str, str], folder: Path, port: int, agents: int) -> Member:
    """A process as its unit would run it, on other ports."""
    own = {"MCISD_HOME": str(folder / name), "MCISD_NODE_NAME": name}
    moved = {"MCISD_API_PORT": str(port), "MCISD_NODE_PORT": str(port), "MCISD_COLLECTOR_PORT": str(agents)}
    program = [shutil.which("mcisd", path=str(Path(sys.executable).parent)) or "mcisd", "run"]
    process = ServerProcess(name, program, folder / f"{name}.log", environment=common | example(name) | own | moved)
    return Member(name, process, f"http://127.0.0.1:{port}")


async def test_the_processes_of_the_examples_work_and_are_drawn(
    members: list[Member], influx_server: InfluxServer
) -> None:
    asked = [query for query in panel_queries(pages()["mcisd-daemon"]) if query.title not in QUIET]
    asked += [query for query in panel_queries(pages()["mcisd-alarms"]) if query.title in BUSY]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        asker = Asker(influx_server, session)
        end = time.monotonic() + PATIENCE_S
        empty, processes = ["not asked yet"], "0"
        while (empty or processes != str(len(NAMES))) and time.monotonic() < end:
            await asyncio.sleep(2)
            empty, now = [], int(time.time())
            for query in asked:
                rows = await asker.rows(sent(query.text, Span(now - 900, now), influx_server.bucket, {"process": ()}))
                empty += [] if rows else [query.title]
                if query.title == "Processes":
                    processes = rows[0]["_value"] if rows else "0"
    assert (empty, processes) == ([], str(len(NAMES)))
    await asyncio.gather(*(one.process.stop() for one in members))
    assert [one.name for one in members if "Traceback" in one.process.said()] == []
