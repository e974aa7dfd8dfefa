"""What drivers ask of their clouds: requests per VM created and per status round, 50 VMs at once, and their own cost.

For each cloud whose backend is on this machine: requests on the wire (as the drivers tell them) for 1, 10 and 100 VMs;
how long 50 creations take, as many at a time as the daemon asks for (16; OpenStack 8), and as many by the cloud's bare
API beside it: the backend's own limit. For each driver: time and memory of loading it, without and with its cloud's
library; and the start of ``mcisd run`` with those libraries installed and with their import forbidden.

    python benchmarks/cloud_calls.py [--clouds mock,aws] [--vms 1,10,100] [--parallel 50] [--runs 3] [--json FILE]
"""

import argparse
import asyncio
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.daemon_footprint import one_start
from benchmarks.kit.cloud_backends import OPENERS
from benchmarks.kit.clouds import LIBRARIES, Stage, each, seconds
from benchmarks.kit.measure import Figures, append, machine, save, show
from mcisd.drivers.base import CloudConnection, VmHandler
from mcisd.drivers.gated import handler
from mcisd.drivers.wire import heard
from mcisd.model.cloud import CloudVmState, VmInfo
from tests.conformance.driver_bench import Furniture, fresh

T = TypeVar("T")
LOADING = """
import importlib, os, sys, time
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
import aiohttp, asyncssh, mcisd.daemon.roles, mcisd.drivers.firstboot
modules = sys.argv[1:]
before, begun = rss(), time.perf_counter()
for module in modules:
    importlib.import_module(module)
print(1000 * (time.perf_counter() - begun), rss() - before)
"""
FORBID = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ImportError(name + " is forbidden here")
sys.meta_path.insert(0, Forbid())
"""


async def counted(work: Callable[[], Awaitable[T]]) -> tuple[T, Counter[str]]:
    """The result and the requests it took, by name."""
    sent: list[str] = []
    with heard(sent.append):
        result = await work()
    return result, Counter(sent)


async def start_many(stage: Stage, connection: CloudConnection, furniture: Furniture, count: int) -> list[VmInfo]:
    """So many VMs in one network, asked for and not waited for."""
    request = stage.bench.vm_request(furniture)
    made: list[VmInfo] = []

    async def start(_number: int) -> None:
        made.append(await handler(connection, VmHandler).start_vm(replace(request, token=fresh("tok"))))

    await each(count, start, stage.at_once)
    return made


async def end_all(stage: Stage, connection: CloudConnection, made: list[VmInfo]) -> None:
    vms = handler(connection, VmHandler)
    await each(len(made), lambda number: vms.terminate_vm(made[number].id), stage.at_once)
    await stage.bench.clean()


async def requests(stage: Stage, count: int) -> dict[str, float]:
    """Requests for ``count`` VMs: to make them, for one round of status, to end them."""
    connection = await stage.bench.open()
    vms = handler(connection, VmHandler)
    furniture, furnishing = await counted(lambda: stage.bench.furnish(connection))
    made, starts = await counted(lambda: start_many(stage, connection, furniture, count))
    ids = {vm.id for vm in made}

    async def running() -> set[str]:
        return {row.id for row in await vms.list_vm_status() if row.state is CloudVmState.RUNNING}

    await stage.bench.eventually(running, lambda up: ids <= up, f"{count} running VMs")
    _, status = await counted(vms.list_vm_status)
    _, ends = await counted(lambda: each(count, lambda number: vms.terminate_vm(made[number].id), stage.at_once))
    await stage.bench.clean()
    return {
        f"{count} VMs: requests for network, group, key": furnishing.total(),
        f"{count} VMs: requests per VM created": without_polls(starts) / count,
        f"{count} VMs: polls per VM created": (starts.total() - without_polls(starts)) / count,
        f"{count} VMs: requests per status round": status.total(),
        f"{count} VMs: requests per VM terminated": ends.total() / count,
    }


def without_polls(sent: Counter[str]) -> int:
    """Requests but for those that ask whether the cloud is done."""
    return sum(number for name, number in sent.items() if not name.startswith("poll "))


async def parallel(stage: Stage, count: int) -> dict[str, float]:
    """Creations by the driver, and by the bare API beside it."""
    connection = await stage.bench.open()
    furniture = await stage.bench.furnish(connection)
    made: list[VmInfo] = []

    async def all_of_them() -> None:
        made.extend(await start_many(stage, connection, furniture, count))

    figures = {f"{count} VMs at once: driver, VM/s": count / await seconds(all_of_them)}
    await end_all(stage, connection, made)
    if stage.bare is not None:
        bare = stage.bare
        figures[f"{count} VMs at once: bare API, VM/s"] = count / await seconds(lambda: bare(count))
    return figures


async def one_cloud(name: str, options: argparse.Namespace) -> Figures:
    figures: Figures = {}
    async with OPENERS[name]() as stage:
        for count in options.vms:
            if count <= stage.most:
                append(figures, await requests(stage, count))
        for _ in range(options.runs):
            append(figures, await parallel(stage, min(options.parallel, stage.most)))
        show(f"{name}: {stage.behind}", figures)
    return figures


def loading(name: str, modules: tuple[str, ...]) -> dict[str, float]:
    """Milliseconds and MB that these modules add to a process that has what every daemon has."""
    done = subprocess.run(
        [sys.executable, "-c", LOADING, *modules], capture_output=True, text=True, timeout=120, check=True
    )
    milliseconds, megabytes = done.stdout.split()
    return {f"{name}, ms": float(milliseconds), f"{name}, MB": float(megabytes)}


def there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def drivers(runs: int) -> Figures:
    """Loading of each driver that is installed, then of its cloud's library on top."""
    figures: Figures = {}
    for name, libraries in LIBRARIES.items():
        driver = f"mcisd.drivers.{name}.driver"
        for _ in range(runs if there(driver) else 0):
            append(figures, loading(f"{name} driver alone", (driver,)))
            if libraries and all(map(there, libraries)):
                append(figures, loading(f"{name} driver and its library", (driver, *libraries)))
    return figures


def starting(runs: int) -> Figures:
    """Seconds until ``mcisd run`` answers: as installed, and with the clouds' libraries out of reach."""
    figures: Figures = {}
    roots = sorted({module.split(".")[0] for modules in LIBRARIES.values() for module in modules} - {"google"})
    with tempfile.TemporaryDirectory(prefix="mcisd-calls-") as folder:
        site = Path(folder, "site")
        site.mkdir()
        (site / "sitecustomize.py").write_text(FORBID.format(names={*roots, "google.cloud", "boto3", "botocore"}))
        home, usual = Path(folder, "home"), os.environ.get("PYTHONPATH", "")
        one_start(home)  # the first start makes its home
        for _ in range(runs):
            append(figures, {"as installed, s": one_start(home)[0]})
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), usual)))
            append(figures, {"libraries forbidden, s": one_start(home)[0]})
            os.environ["PYTHONPATH"] = usual
    show("start of mcisd run, to GET /livez", figures)
    return figures


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clouds", type=lambda text: text.split(","), default=list(OPENERS))
    parser.add_argument("--vms", type=lambda text: [int(number) for number in text.split(",")], default=[1, 10, 100])
    parser.add_argument("--parallel", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print(machine())
    document: dict[str, object] = {}
    for name in options.clouds:
        try:
            document[name] = asyncio.run(one_cloud(name, options))
        except ImportError as error:
            print(f"\n{name}: left out: {error}")
    document["drivers"] = loaded = drivers(options.runs)
    show("loading a driver", loaded)
    document["start"] = starting(options.runs)
    save(options.json, document)


if __name__ == "__main__":
    main()
