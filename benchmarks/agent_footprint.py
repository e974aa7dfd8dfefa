"""What the agent costs beside its peers: RSS and CPU of the agent, of node_exporter and of collectd, in one run.

All three measure this machine every two seconds. The agent speaks TLS to a server on loopback, node_exporter is
scraped over HTTP, collectd writes CSV files. Run: ``python benchmarks/agent_footprint.py [--seconds 300]``.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mcisd.agent.bundle import build_bundle
from tests.integration.agent.agent_server import AgentServer, make_certificates, start_agent, write_config

EXPORTER = "/usr/bin/prometheus-node-exporter"
COLLECTD = "/usr/sbin/collectd"
SCRAPE = "http://127.0.0.1:19100/metrics"
PERIOD = 2.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

COLLECTD_CONFIG = """
BaseDir "{home}"
PIDFile "{home}/collectd.pid"
Interval 2
LoadPlugin cpu
LoadPlugin memory
LoadPlugin swap
LoadPlugin df
LoadPlugin disk
LoadPlugin interface
LoadPlugin load
LoadPlugin processes
LoadPlugin uptime
LoadPlugin csv
<Plugin csv>
  DataDir "{home}/csv"
</Plugin>
"""


class Watched:
    """One process under observation."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.process = process
        self.rss_mb: list[float] = []
        self.cpu_percent: list[float] = []
        self._cpu, self._at = self._cpu_seconds(), time.monotonic()
        self._first = (self._cpu, self._at)

    def _cpu_seconds(self) -> float:
        """CPU time used so far. Schedstat counts nanoseconds, where stat counts hundredths of a second."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def look(self) -> None:
        """Take one sample of RSS now and of CPU since the last look."""
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended with code {self.process.returncode}")
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        cpu, now = self._cpu_seconds(), time.monotonic()
        self.rss_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        self.cpu_percent.append(100 * (cpu - self._cpu) / (now - self._at))
        self._cpu, self._at = cpu, now

    def whole(self) -> float:
        """CPU per cent of a core over the whole run."""
        return 100 * (self._cpu - self._first[0]) / (self._at - self._first[1])


def start_all(home: Path, python: str) -> tuple[list[Watched], AgentServer]:
    """Start the server, the agent and the peers that are installed."""
    make_certificates(home)
    (home / "agent.pyz").write_bytes(build_bundle())
    server = AgentServer(home, interval_ms=int(PERIOD * 1000))
    agent = start_agent(python, home / "agent.pyz", write_config(home, server.port, interval_ms=int(PERIOD * 1000)))
    processes = [("mcisd agent", agent)]
    if Path(EXPORTER).exists():
        command = [EXPORTER, "--web.listen-address=127.0.0.1:19100", "--log.level=error"]
        processes.append(("node_exporter", subprocess.Popen(command, text=True, stderr=subprocess.DEVNULL)))
    if Path(COLLECTD).exists():
        (home / "collectd.conf").write_text(COLLECTD_CONFIG.format(home=home))
        command = [COLLECTD, "-f", "-C", str(home / "collectd.conf")]
        processes.append(("collectd", subprocess.Popen(command, text=True, stderr=subprocess.DEVNULL)))
    time.sleep(5)  # start-up is not what is compared
    return [Watched(name, process) for name, process in processes], server


def observe(watched: list[Watched], seconds: float) -> None:
    """Scrape the exporter every period and look at every process."""
    scrape = any(one.name == "node_exporter" for one in watched)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        if scrape:
            with urllib.request.urlopen(SCRAPE, timeout=5) as answer:
                answer.read()
        time.sleep(max(0.0, PERIOD - (time.monotonic() - began)))
        for one in watched:
            one.look()


def machine() -> str:
    """One line about where this ran."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return (
        f"{os.cpu_count()} x {model}, Linux {platform.release()}, {len(list(Path('/proc').glob('[0-9]*')))} processes"
    )


def report(watched: list[Watched], server: AgentServer, python: str, seconds: float) -> None:
    """Print the table."""
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"machine: {machine()}")
    print(f"agent on {python} ({version}), {seconds:.0f} s at {PERIOD:.0f} s; {len(server.frames)} frames received")
    print(f"{'':14} {'RSS MB':^23}   {'CPU % of a core':^32}")
    print(f"{'':14} {'min':>7} {'median':>7} {'max':>7}   {'min':>7} {'median':>7} {'max':>7} {'whole':>8}")
    figures: list[Callable[[list[float]], float]] = [min, statistics.median, max]
    for one in watched:
        rss = " ".join(f"{pick(one.rss_mb):7.2f}" for pick in figures)
        cpu = " ".join(f"{pick(one.cpu_percent):7.3f}" for pick in figures)
        print(f"{one.name:14} {rss}   {cpu} {one.whole():8.3f}")


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--python", default=shutil.which("python3", path="/usr/bin") or sys.executable)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        watched, server = start_all(Path(folder), options.python)
        try:
            observe(watched, options.seconds)
            report(watched, server, options.python, options.seconds)
        finally:
            for one in watched:
                one.process.terminate()
                one.process.wait(10)
            server.close()


if __name__ == "__main__":
    main()
