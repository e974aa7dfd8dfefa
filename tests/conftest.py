"""Rules for every test. In: the tests as pytest collects them. Out: the same tests, kept off the network, checked for
tasks they leave behind, and with nothing skipped in CI.
"""

import asyncio
import ipaddress
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

for room in ("clouds", "conformance", "external", "integration", "scenarios", "unit"):
    pytest.register_assert_rewrite(f"tests.{room}")  # helpers say what they saw, as tests do
pytest_plugins = [
    "tests.engines",
    "tests.matrix",
    "tests.parallel",
    "tests.clouds.openstack",
    "tests.clouds.hypervisor",
]
ROOT = Path(__file__).resolve().parent
CI = os.environ.get("CI", "").lower() in ("1", "true")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_CHROMIUM = "Chromium is missing (Debian package chromium)"
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100, print_blob=True)
settings.register_profile("dev", deadline=None, max_examples=50)
settings.load_profile("ci" if CI else "dev")
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # as under nohup, or in the background of a script
        signal.signal(number, usual)


class Network:
    """What sockets may do now: an audit hook sees each connect, bind and sendto of this process, in any thread.

    Processes that a test starts are not seen; nothing but those of our own and Chromium are started.
    """

    def __init__(self) -> None:
        self.reach = "loopback"

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in ("socket.connect", "socket.bind", "socket.sendto"):
            return
        address = arguments[1]
        if not isinstance(address, tuple):  # a Unix socket's path
            return
        if self.reach == "none" or not loopback(str(address[0])):
            raise RuntimeError(f"{event} to {address}: a test of this room may reach: {self.reach}")


def loopback(host: str) -> bool:
    """Whether an address is this host's own; "" and 0.0.0.0 are what a server on it binds."""
    try:
        return host in ("", "localhost") or (ip := ipaddress.ip_address(host)).is_loopback or ip.is_unspecified
    except ValueError:
        return False


NETWORK = Network()
sys.addaudithook(NETWORK.audit)


def in_unit(path: Path) -> bool:
    """Whether this file is a unit test."""
    return path.is_relative_to(ROOT / "unit")


@pytest.fixture(autouse=True)
def reach(request: pytest.FixtureRequest) -> Iterator[str]:
    """Keep unit tests off the network and all others on this host."""
    NETWORK.reach = "none" if in_unit(request.path) else "loopback"
    yield NETWORK.reach
    NETWORK.reach = "loopback"


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Each task that a test or its fixtures began has ended with them: nothing runs without an owner."""
    yield
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]
    assert not left, f"tasks left running: {left}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive."""
    assert CHROMIUM, NO_CHROMIUM
    return CHROMIUM


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if CHROMIUM is None and not CI and item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))
        if in_unit(item.path) and isinstance(item, pytest.Function) and asyncio.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "no_task_left")  # first in, so last out: after all other fixtures


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.longrepr = f"skipped, which CI does not allow: {reason(report)}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if CI and report.skipped:
        report.longrepr = f"skipped, which CI does not allow: {reason(report)}"
        report.outcome = "failed"
    return report


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped."""
    words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return words.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        why = "; ".join(sorted({reason(report) for report in skipped}))
        terminalreporter.write_line(f"left out on this machine: {len(skipped)} tests: {why}", yellow=True)
