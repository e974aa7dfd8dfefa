"""The SSH server of a VM: one listener at the VM's own address. In: SSH clients with the VM's key. Out: real processes.

Commands run in the VM's process tree through its init; SFTP reaches the home directory. Requests for environment
variables are not passed on, and there is no forwarding of ports, agents or X11.
"""

import asyncio
import contextlib
import logging
import os
import posixpath
import signal
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from mcisd.drivers.local.init_client import InitClient, Session, close_all
from mcisd.drivers.local.settings import MAX_COMMAND
from mcisd.drivers.local.stdin import Stdin

log = logging.getLogger(__name__)
_MAX_CONNECTIONS = 64
_NOT_STARTED = 126
_TERMINAL_REST = 0.5


@dataclass(slots=True)
class Guest:
    """What an SSH server must know of its VM."""

    user: str
    public_key: asyncssh.SSHKey
    host_key: asyncssh.SSHKey
    home: Path
    meta: Path
    init: InitClient
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)

    def environment(self) -> dict[str, str]:
        """What every process of this VM starts with."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "USER": self.user,
            "LOGNAME": self.user,
            "LANG": "C.UTF-8",
            "SHELL": shell(),
            "MCISD_LOCAL_VM": str(self.meta),
        }


def shell() -> str:
    """The login shell of every VM."""
    return "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"


async def listen(guest: Guest, address: str, port: int) -> asyncssh.SSHAcceptor:
    """Open the VM's SSH port; OSError if the address is taken."""
    return await asyncssh.listen(
        address,
        port,
        server_factory=lambda: _Door(guest),
        process_factory=lambda process: _serve(guest, process),
        sftp_factory=lambda channel: HomeSftp(channel, guest.home),
        server_host_keys=[guest.host_key],
        allow_scp=True,
        agent_forwarding=False,
        x11_forwarding=False,
        gss_host=None,
        encoding=None,
        line_editor=False,
        login_timeout=30,
    )


class _Door(asyncssh.SSHServer):
    """Lets in the one user with the one key."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        if len(self._guest.connections) >= _MAX_CONNECTIONS:
            conn.abort()
            return
        self._guest.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._guest.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == self._guest.user and key.public_data == self._guest.public_key.public_data


class HomeSftp(asyncssh.SFTPServer):
    """SFTP with real paths, so that they mean the same as in a shell, but of the home directory only."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], home: Path) -> None:
        super().__init__(channel)
        self._home = os.fsencode(os.path.realpath(home))

    def map_path(self, path: bytes) -> bytes:
        wanted = posixpath.normpath(posixpath.join(self._home, path))
        if wanted == self._home:
            return wanted
        # The last part is not followed here: lstat, readlink and remove are about the link itself.
        folder, name = os.path.split(wanted)
        real = posixpath.join(os.path.realpath(folder), name)
        for seen in (real, os.path.realpath(real)):
            if not (seen + b"/").startswith(self._home + b"/"):
                raise asyncssh.SFTPPermissionDenied("outside the home directory")
        return real


async def _serve(guest: Guest, process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run one command or shell for a client until it ends or the client goes away."""
    command = process.command
    if command is not None and len(command.encode()) > MAX_COMMAND:
        process.stderr.write(b"the command is too long\n")
        process.exit(_NOT_STARTED)
        return
    argv = [shell(), "-l"] if command is None else [shell(), "-c", command]
    env = guest.environment() | _connection_variables(process)
    try:
        session, stdin = await _start(guest, process, argv, env)
    except OSError as error:
        process.stderr.write(f"cannot start: {error}\n".encode())
        process.exit(_NOT_STARTED)
        return
    try:
        await _until_over(process, session, stdin)
    finally:
        stdin.close()
        session.close()
    await process.wait_closed()


async def _start(
    guest: Guest, process: asyncssh.SSHServerProcess[bytes], argv: list[str], env: dict[str, str]
) -> tuple[Session, Stdin]:
    """Start the command with pipes (or a terminal, where one was asked for) joined to the channel."""
    if process.term_type:
        ours, theirs = os.openpty()
        env["TERM"] = process.term_type
        stdin, outputs, given = Stdin(process, ours), [os.dup(ours)], [theirs] * 3
    else:
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = (os.pipe() for _ in range(3))
        stdin, outputs, given = Stdin(process, in_write), [out_read, err_read], [in_read, out_write, err_write]
    try:
        session = await guest.init.run(argv, env, guest.home, given, detached=False)
    except BaseException:
        stdin.close()
        close_all(outputs)
        raise
    finally:
        close_all(list(set(given)))
    await process.redirect(stdout=outputs[0], stderr=outputs[1] if len(outputs) > 1 else None, send_eof=False)
    return session, stdin


async def _until_over(process: asyncssh.SSHServerProcess[bytes], session: Session, stdin: Stdin) -> None:
    closed = asyncio.ensure_future(process.channel.wait_closed())
    ended = asyncio.ensure_future(_finish(process, session))
    feeding = asyncio.ensure_future(stdin.pump(session.pid))
    try:
        await asyncio.wait({closed, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (closed, ended, feeding):
            task.cancel()
        for result in await asyncio.gather(closed, ended, feeding, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, asyncssh.Error | OSError):
                log.error("a session broke", exc_info=result)
        process.close()  # nothing to do if the end was told in the usual way


async def _finish(process: asyncssh.SSHServerProcess[bytes], session: Session) -> None:
    """Wait for the end of the command and of its output, then tell the client how it ended."""
    kind, number = await session.wait()
    # Like any SSH server: whoever still holds the pipes keeps the channel open. A terminal is taken away.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TERMINAL_REST if process.term_type else None):
            await process.stdout.drain()
            await process.stderr.drain()
    if kind == "exit":
        process.exit(number)
    elif kind == "signal":
        process.exit_with_signal(signal.Signals(number).name.removeprefix("SIG"))
    else:
        process.channel.abort()


def _connection_variables(process: asyncssh.SSHServerProcess[bytes]) -> dict[str, str]:
    """``SSH_CONNECTION`` as every SSH server sets it: how a command learns the address of its host."""
    peer, own = process.get_extra_info("peername"), process.get_extra_info("sockname")
    return {"SSH_CONNECTION": f"{peer[0]} {peer[1]} {own[0]} {own[1]}"}
