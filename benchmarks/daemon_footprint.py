"""What the daemon costs: start-up to the first answer, then RSS and CPU idle with the 18 VMs of the demonstration.

Start-up is from the start of the process to the first 200 of GET /livez and of a GET with the token; the first of the
runs makes its home. Idle: 18 VMs on the local cloud with agents at 2 s, nobody asks anything.
Run: ``python benchmarks/daemon_footprint.py [--starts 10] [--seconds 120]``.
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mcisd.client import Client
from mcisd.demo.cloud import CloudSide
from mcisd.demo.ports import free_port
from mcisd.demo.process import DaemonProcess
from mcisd.demo.world import CLOUDS, INFRA, NS, PLACES, TOTAL

SETTLE = 15.0
"""Seconds after the last agent is up before the daemon counts as idle."""
Row = tuple[str, list[float], str]


def answers(url: str, token: str = "") -> bool:
    """Whether GET gives 200 now."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def one_start(home: Path) -> tuple[float, float]:
    """Seconds to the first 200 of /livez, and of an authenticated GET."""
    api, collector = free_port(), free_port()
    command = [sys.executable, "-m", "mcisd", "run", "--home", str(home), "--log-level", "error"]
    command += ["--port", str(api), "--collector-port", str(collector)]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while not answers(f"http://127.0.0.1:{api}/livez"):
                if process.poll() is not None or time.monotonic() - began > 60:
                    raise SystemExit("the daemon did not start")
                time.sleep(0.005)
            alive = time.monotonic() - began
            token = (home / "token").read_text().strip()
            if not answers(f"http://127.0.0.1:{api}/api/v1/system", token):
                raise SystemExit("the daemon refused its own token")
            return alive, time.monotonic() - began
        finally:
            process.terminate()
            process.wait(30)


def starts(times: int) -> list[Row]:
    """Rows for the first start and for those after it."""
    home = Path(tempfile.mkdtemp(prefix="mcisd-start-"))
    try:
        first = one_start(home)
        later = [one_start(home) for _ in range(times)]
    finally:
        shutil.rmtree(home)
    return [
        ("first start, to GET /livez", [first[0]], "s"),
        ("start, to GET /livez", [alive for alive, _ in later], "s"),
        ("start, to GET with token", [known for _, known in later], "s"),
    ]


def cpu_seconds(pid: int) -> float:
    """CPU time used so far by all threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def watch(name: str, pid: int, seconds: float) -> list[Row]:
    """RSS and CPU of a process, looked at every two seconds."""
    memory, load = [], []
    used, at = cpu_seconds(pid), time.monotonic()
    until = at + seconds
    while time.monotonic() < until:
        await asyncio.sleep(2.0)
        now_used, now = cpu_seconds(pid), time.monotonic()
        load.append(100 * (now_used - used) / (now - at))
        memory.append(rss_mb(pid))
        used, at = now_used, now
    return [(f"{name}: RSS", memory, "MB"), (f"{name}: CPU of a core", load, "%")]


async def idle(seconds: float) -> list[Row]:
    """A daemon without VMs, then with 18 VMs and their agents."""
    home = Path(tempfile.mkdtemp(prefix="mcisd-idle-"))
    daemon, cloud = DaemonProcess(home), CloudSide(home / "cloud")
    try:
        await daemon.start()
        async with Client.discover(environment={"MCISD_HOME": str(home)}, url=daemon.url) as client:
            await asyncio.sleep(5.0)
            rows = await watch("no VM", daemon.pid, 20.0)
            await launch(client, cloud)
            await asyncio.sleep(SETTLE)
            rows += await watch(f"{TOTAL} VMs", daemon.pid, seconds)
            ended = await client.act(NS, INFRA, "terminate")
            await client.follow_operation(ended["id"])
    finally:
        await daemon.stop()
        await cloud.stop()
        shutil.rmtree(home, ignore_errors=True)
    return rows


async def launch(client: Client, cloud: CloudSide) -> None:
    """The MCIS of the demonstration, up to its last agent."""
    for name in CLOUDS:
        await client.register_credential(name, "local", {"account": name, "secret": cloud.secrets[name]})
    for place in PLACES:
        await client.register_region(place.connection, "local", {"Region": place.region}, place.location)
        await client.create_connection(place.connection, "local", place.cloud, place.connection)
    await client.create_namespace(NS)
    begun = await client.create_infra(NS, {"name": INFRA, "vmRequestList": [place.group for place in PLACES]})
    ended = await client.follow_operation(begun["id"])
    if ended["state"] != "succeeded":
        raise SystemExit(f"the MCIS could not be made: {ended}")
    async with asyncio.timeout(120):
        while (await client.status(NS, INFRA))["agentsUp"] < TOTAL:
            await asyncio.sleep(0.5)


def machine() -> str:
    """One line about where this ran."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}, load {load:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    print(f"machine: {machine()}")
    rows = starts(options.starts) + asyncio.run(idle(options.seconds))
    picks: list[Callable[[list[float]], float]] = [min, statistics.median, max]
    print(f"{'':32} {'min':>8} {'median':>8} {'max':>8}")
    for name, values, unit in rows:
        print(f"{name:32} " + " ".join(f"{pick(values):8.2f}" for pick in picks) + f"  {unit}")


if __name__ == "__main__":
    main()
