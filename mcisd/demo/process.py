"""The daemon as a process of its own. In: a home directory and ports. Out: a daemon to talk to, to kill, to stop."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from mcisd.demo.telling import StepFailedError

START_TIMEOUT = 30.0
STOP_TIMEOUT = 25.0


def free_port(host: str = "127.0.0.1", wanted: int = 0) -> int:
    """A port nobody listens on: ``wanted`` if it is free, else any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StepFailedError(f"a free port on {host}", "none")


class DaemonProcess:
    """``mcisd run`` with a home, an API port and a collector port of its own; its log is ``daemon.log`` there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cloud_home = home / "cloud"
        self.log = home / "daemon.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._collector = free_port()
        self._process: asyncio.subprocess.Process | None = None

    def environment(self) -> dict[str, str]:
        """Ours without what would make the daemon another one."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCISD_", "MCIS_"))}
        return kept | {
            "MCISD_HOME": str(self.home),
            "MCISD_API_PORT": self.url.rpartition(":")[2],
            "MCISD_COLLECTOR_PORT": str(self._collector),
            "MCISD_LOCAL_HOME": str(self.cloud_home),
        }

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start it and return when its API answers. Its session is its own: our Ctrl-C is not its Ctrl-C."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mcisd", "run",
                env=self.environment(), cwd=self.home, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        await self._until_it_answers(self._process)

    async def _until_it_answers(self, process: asyncio.subprocess.Process) -> None:
        host, port = self.url.removeprefix("http://").split(":")
        loop = asyncio.get_running_loop()
        end = loop.time() + START_TIMEOUT
        while loop.time() < end:
            if process.returncode is not None:
                raise StepFailedError("a running daemon", f"it ended with {process.returncode}; see {self.log}")
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return
        raise StepFailedError(f"an answer at {self.url} within {START_TIMEOUT:g} s", f"none; see {self.log}")

    async def kill(self) -> None:
        """``kill -9``: it has no chance to tidy up."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            await self.kill()
