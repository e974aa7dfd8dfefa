"""The daemon as a process of its own. In: a home directory and ports. Out: a daemon to talk to, to kill, to stop."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from mcisd.demo.ports import free_port
from mcisd.demo.telling import StepFailedError

START_TIMEOUT = 30.0
STOP_TIMEOUT = 25.0


class RoleProcess:
    """``mcisd run`` with an environment of its own; its log is ``NAME.log`` in the home."""

    def __init__(self, home: Path, name: str, environment: dict[str, str], address: tuple[str, int]) -> None:
        self.name = name
        self.log = home / f"{name}.log"
        self._home = home
        self._environment = environment
        self._address = address
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and return when its port answers. Its session is its own: our Ctrl-C is not its Ctrl-C."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mcisd", "run",
                env=self._environment, cwd=self._home, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        await self._until_it_answers(self._process)

    async def _until_it_answers(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + START_TIMEOUT
        while loop.time() < end:
            if process.returncode is not None:
                raise StepFailedError(f"a running {self.name}", f"it ended with {process.returncode}; see {self.log}")
            try:
                _, writer = await asyncio.open_connection(*self._address)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return
        raise StepFailedError(f"an answer of {self.name} within {START_TIMEOUT:g} s", f"none; see {self.log}")

    async def kill(self) -> None:
        """``kill -9``: it has no chance to tidy up."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            await self.kill()


def environment(home: Path, settings: dict[str, str]) -> dict[str, str]:
    """Ours without what would make the daemon another one, and with these settings (``MCISD_…`` without the prefix)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCISD_", "MCIS_"))}
    ours = {"HOME": str(home), "LOCAL_HOME": str(home / "cloud")} | settings
    return kept | {f"MCISD_{name}": value for name, value in ours.items()}


class DaemonProcess:
    """The whole daemon as one process, with a home, an API port and a collector port of its own. ``advertise`` is the
    address that agents on emulated machines call: these cannot reach 127.0.0.1, and are slow."""

    def __init__(self, home: Path, port: int = 0, advertise: str = "") -> None:
        self.home = home
        self.cloud_home = home / "cloud"
        port, collector = port or free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {"API_PORT": str(port), "COLLECTOR_PORT": str(collector)}
        if advertise:
            settings |= {
                "COLLECTOR_HOST": "0.0.0.0",  # noqa: S104 - inside a network of its own
                "COLLECTOR_ADVERTISE": f"{advertise}:{collector}",
                "AGENTS_INSTALL_TIMEOUT_S": "240",
            }
        self._process = RoleProcess(home, "daemon", environment(home, settings), ("127.0.0.1", port))

    @property
    def log(self) -> Path:
        return self._process.log

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start(self) -> None:
        await self._process.start()

    async def kill(self) -> None:
        """``kill -9``: it has no chance to tidy up."""
        await self._process.kill()

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        await self._process.stop()
