"""One SSH connection: a target in, an authenticated connection to exactly the pinned host out, or a HostError.

The costly part is the key exchange, so only that is bounded by ``handshakes``. A host that does not answer, or whose
SSH server does not say a word, waits outside of it and cannot hold up the others.
"""

import asyncio
import contextlib
import functools
import socket

import asyncssh

from mcisd.daemon.fleet.keys import fingerprint
from mcisd.daemon.fleet.target import SshTarget
from mcisd.model.errors import (
    HostAuthError,
    HostError,
    HostKeyError,
    HostTimeoutError,
    HostUnreachableError,
    InputError,
)

KEEPALIVE_S = 15


@functools.lru_cache(maxsize=1024)
def _private(pem: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(pem)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise InputError("private_key: not an OpenSSH private key without passphrase; give such a key") from None


@functools.lru_cache(maxsize=4096)
def _public(line: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(line)
    except asyncssh.KeyImportError:
        raise InputError("host_key: not an OpenSSH public key; give one line like 'ssh-ed25519 AAAA…'") from None


async def connect(target: SshTarget, handshakes: asyncio.Semaphore, timeout: float) -> asyncssh.SSHClientConnection:
    """A connection ready for commands, within ``timeout`` seconds.

    Raises HostKeyError, HostAuthError, HostUnreachableError, HostTimeoutError; InputError if a key is no key.
    """
    keys, host_keys = [_private(target.private_key)], [_public(target.host_key)]
    sock: socket.socket | None = None
    try:
        async with asyncio.timeout(timeout):
            sock = await _dial(target)
            await _readable(sock)
            async with handshakes:
                connection = await asyncssh.connect(
                    target.address,
                    target.port,
                    sock=sock,
                    config=[],
                    username=target.user,
                    client_keys=keys,
                    known_hosts=(host_keys, [], []),
                    agent_path=None,
                    password=None,
                    preferred_auth="publickey",
                    gss_host=None,
                    compression_algs=["none"],
                    keepalive_interval=KEEPALIVE_S,
                    keepalive_count_max=2,
                )
                sock = None
                return connection
    except (OSError, asyncssh.Error) as error:
        raise translate(error, target, timeout) from error
    finally:
        if sock is not None:
            sock.close()


def translate(error: Exception, target: SshTarget, timeout: float) -> HostError:
    """What went wrong on the way to ``target``, in our words."""
    text = str(error)
    if isinstance(error, TimeoutError):
        return HostTimeoutError(f"{target.where}: no SSH answer within {timeout:g} s; is the VM up and the port open?")
    if isinstance(error, asyncssh.HostKeyNotVerifiable) or "host key alg" in text:
        return HostKeyError(
            f"{target.where}: the host did not show its pinned key {fingerprint(target.host_key)};"
            " somebody stands in between, or the VM was replaced",
            remedy="check the VM at its cloud; recreate it if nobody replaced it on purpose",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return HostAuthError(
            f"{target.where}: the host refuses the key of user {target.user}",
            remedy="check the user name of the image and the key of the VM",
        )
    if isinstance(error, OSError):
        return HostUnreachableError(f"{target.where}: cannot be reached ({error.strerror or text})")
    return HostUnreachableError(f"{target.where}: the SSH connection failed ({text or type(error).__name__})")


async def _dial(target: SshTarget) -> socket.socket:
    """A connected TCP socket to the first of the addresses that answers."""
    loop = asyncio.get_running_loop()
    failure: OSError = ConnectionRefusedError("no address")
    for family, kind, proto, _, address in await loop.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            # Small packets to and fro: do not wait to fill them.
            with contextlib.suppress(OSError):  # the peer may be gone already; the handshake will tell
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise failure


async def _readable(sock: socket.socket) -> None:
    """Wait for the server's first byte (or its end) without taking it."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def came() -> None:
        loop.remove_reader(sock)
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, came)
    try:
        await ready
    finally:
        loop.remove_reader(sock)
