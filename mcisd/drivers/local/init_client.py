"""The cloud's side of a VM's init process. In: a VM's directory. Out: a running init, commands started in it."""

import asyncio
import contextlib
import os
import socket
import subprocess  # the init is a program of ours, started with fixed arguments
import sys
from pathlib import Path

from mcisd.drivers.local import proctree
from mcisd.model.errors import CloudTransientError

_PROGRAM = Path(__file__).with_name("vm_init.py")
_SOCKET = "init.sock"
_ANSWER = 4096
_ANSWER_TIMEOUT = 10.0


class Session:
    """One command in a VM, or a mere watch on its init when ``pid`` is the init's own."""

    def __init__(self, link: socket.socket, pid: int) -> None:
        self.pid = pid
        self._link = link

    async def wait(self) -> tuple[str, int]:
        """("exit", status) or ("signal", number); ("gone", 0) if the init went away."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._link, _ANSWER)
        except OSError:
            data = b""
        kind, _, number = data.decode().partition(" ")
        return (kind, int(number)) if kind in {"exit", "signal"} else ("gone", 0)

    def close(self) -> None:
        """Let go; a command still running is hung up unless it was started detached."""
        self._link.close()


class InitClient:
    """Starts, finds and talks to the init of the VM in directory ``where``."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._child: subprocess.Popen[bytes] | None = None

    async def spawn(self) -> int:
        """Start a fresh init and wait until it listens; its pid. CloudTransientError if it does not come up."""
        with (self._where / "init.log").open("ab") as log:
            child = subprocess.Popen(  # noqa: ASYNC220 - returns at once (vfork); waiting is done elsewhere
                [sys.executable, "-I", "-S", str(_PROGRAM)],
                cwd=self._where,
                env={"PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                umask=0o022,
            )
        self._child = child
        assert child.stdout is not None  # noqa: S101 - PIPE was asked for
        with child.stdout as ready:
            try:
                async with asyncio.timeout(_ANSWER_TIMEOUT):
                    word = await asyncio.to_thread(ready.read, 2)
            except TimeoutError:
                word = b""
            if word != b"ok":
                child.kill()
                raise CloudTransientError("the VM's init process did not start; see init.log in its directory")
        return child.pid

    async def watch(self) -> Session:
        """A session that ends when the init does. OSError if there is no init."""
        return await self._ask([b"ping"], [])

    async def run(self, argv: list[str], env: dict[str, str], cwd: Path, fds: list[int], *, detached: bool) -> Session:
        """Start a command. OSError if the init is not there or refuses."""
        pairs = [f"{name}={value}" for name, value in env.items()]
        words = ["run", "d" if detached else "", str(cwd), str(len(argv)), *argv, *pairs]
        return await self._ask([b"\0".join(os.fsencode(word) for word in words)], fds)

    async def reap(self, clock_rounds: int = 200) -> None:
        """Collect the killed init if it is our own child, so that no zombie stays."""
        for _ in range(clock_rounds):
            if self._child is None or self._child.poll() is not None:
                break
            await asyncio.sleep(0.005)
        self._child = None

    def _socket_path(self) -> str:
        """Relative to the cloud's working directory, because a socket's path must be short."""
        return os.path.relpath(self._where / _SOCKET)

    async def _ask(self, packet: list[bytes], fds: list[int]) -> Session:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            link.setblocking(False)
            link.connect(self._socket_path())
            socket.send_fds(link, packet, fds)
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                data = await asyncio.get_running_loop().sock_recv(link, _ANSWER)
            kind, _, rest = data.decode().partition(" ")
            if kind != "pid":
                raise OSError(f"the VM's init refused: {rest or 'it closed the connection'}")
            return Session(link, int(rest))
        except BaseException:
            link.close()
            raise


def surviving(pid: int, started: int) -> bool:
    """Whether the init noted earlier still runs."""
    return pid > 0 and proctree.alive(pid, started)


def close_all(fds: list[int]) -> None:
    """Close descriptors, whatever became of them."""
    for fd in fds:
        with contextlib.suppress(OSError):  # a consumer may have closed it already
            os.close(fd)
