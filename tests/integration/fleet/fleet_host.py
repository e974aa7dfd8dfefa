"""A host for the fleet's tests: a real SSH server in this process, real /bin/sh processes in a home of their own."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import asyncssh

from mcisd.daemon.fleet.keys import new_key_pair
from mcisd.daemon.fleet.ssh import SshTarget

PATH = "/usr/local/bin:/usr/bin:/bin"


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something outside of this process has come true."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - files and processes cannot set an event
            await asyncio.sleep(0.02)


def runs(pid: int) -> bool:
    """There is a process of this number that is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class FleetHost:
    """Listens on 127.0.0.1; ``env`` is all the environment its commands get, ``prefix`` is put before each command."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.host_private, self.host_public = new_key_pair("host")
        self.user_private, self.user_public = new_key_pair("user")
        self.env = {"HOME": str(home), "PATH": PATH, "USER": "tester"}
        self.prefix = ""
        self.port = 0
        self.connections = 0
        self.started: list[str] = []
        self._open: list[asyncssh.SSHServerConnection] = []
        self._server: asyncssh.SSHAcceptor | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        host = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                host.connections += 1
                host._open.append(conn)

            def session_requested(self) -> "ShellSession":
                return ShellSession(host)

        self._server = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=Server,
            server_host_keys=[asyncssh.import_private_key(self.host_private)],
            authorized_client_keys=asyncssh.import_authorized_keys(self.user_public),
            encoding=None,
            config=[],
        )
        self.port = self._server.get_port()

    async def stop(self) -> None:
        """Stop listening and cut all connections, as when the machine is lost."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._open):
                connection.abort()
            await self._server.wait_closed()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def target(self, name: str = "vm-1", **other: str) -> SshTarget:
        keys = {"private_key": self.user_private, "host_key": self.host_public} | other
        return SshTarget(name, "127.0.0.1", self.port, "tester", keys["private_key"], keys["host_key"])

    def own(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class ShellSession(asyncssh.SSHServerSession[bytes]):
    """One command: its bytes to and from the channel; signals and hang-up to its process group."""

    def __init__(self, host: FleetHost) -> None:
        self._host = host
        self._command = ""
        self._input: asyncio.Queue[bytes] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self._pid = 0

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        self._chan = chan

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def session_started(self) -> None:
        self._host.started.append(self._command)
        self._host.own(asyncio.get_running_loop().create_task(self._run()))

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._input.put_nowait(data)

    def eof_received(self) -> bool:
        self._input.put_nowait(b"")
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def signal_received(self, signal: str) -> None:
        self._signal(signal)

    def connection_lost(self, exc: Exception | None) -> None:
        self._signal("HUP")
        self._writable.set()

    def _signal(self, name: str) -> None:
        if self._pid:
            os.killpg(self._pid, getattr(signal, f"SIG{name}"))

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", self._host.prefix + self._command,
            cwd=self._host.home, env=self._host.env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._pid = process.pid
        feeding = asyncio.get_running_loop().create_task(self._feed(process.stdin))
        try:
            await asyncio.gather(
                self._pump(process.stdout, None), self._pump(process.stderr, asyncssh.EXTENDED_DATA_STDERR)
            )
            status = await process.wait()
        finally:
            if process.returncode is None:
                self._signal("KILL")
                await process.wait()
            self._pid = 0
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        if status < 0:
            self._chan.exit_with_signal(signal.Signals(-status).name[3:])
        else:
            self._chan.exit(status)

    async def _feed(self, stdin: asyncio.StreamWriter) -> None:
        while data := await self._input.get():
            stdin.write(data)
            await stdin.drain()
        stdin.close()

    async def _pump(self, reader: asyncio.StreamReader, datatype: int | None) -> None:
        while data := await reader.read(65536):
            await self._writable.wait()
            if not self._chan.is_closing():
                self._chan.write(data, datatype)
