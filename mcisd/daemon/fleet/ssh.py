"""The SSH port: a target and a command in, its result or its lines out. Nothing else of the daemon knows asyncssh.

Host keys are pinned: a host is reached only if it proves to own exactly the key of the target; nothing is trusted on
first use. Connections are pooled; one connection carries many commands at once (eight, the others wait).
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import asyncssh

from mcisd.aio.clock import Clock, SystemClock
from mcisd.aio.queue import QueueClosedError
from mcisd.aio.retry import Backoff
from mcisd.daemon.fleet.connect import translate
from mcisd.daemon.fleet.pool import Link, Links
from mcisd.daemon.fleet.session import EXIT, Capture, Lines
from mcisd.daemon.fleet.target import CommandResult, SshTarget
from mcisd.model.errors import HostAuthError, HostError, HostTimeoutError, HostUnreachableError

__all__ = ["EXIT", "CommandResult", "SshPool", "SshTarget"]

AUTH_GRACE_S = 30.0  # a cloud may put the user's key in place some seconds after its SSH server is up
QUEUED_LINES = 256
SLOT_TRIES, SLOT_PAUSE_S = 10, 0.2
"""A busy sshd counts a session that has ended a moment longer, and refuses the next on a connection that is well."""

_Session = TypeVar("_Session", Capture, Lines)
_Channel = asyncssh.SSHClientChannel[bytes]


class SshPool:
    """Commands on many hosts over few connections. One object for the whole daemon; ``close`` it at the end."""

    def __init__(
        self,
        *,
        size: int = 512,
        handshakes: int = 32,
        connect_timeout: float = 10.0,
        idle_timeout: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        """At most ``size`` connections and ``handshakes`` key exchanges at a time; all times in seconds."""
        logging.getLogger("asyncssh").setLevel(logging.WARNING)
        self._links = Links(
            size=size, handshakes=handshakes, connect_timeout=connect_timeout, idle_timeout=idle_timeout
        )
        self._clock = clock or SystemClock()

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._links)

    async def run(
        self, target: SshTarget, command: str, *, timeout: float, stdin: bytes = b"", limit: int = 1_000_000
    ) -> CommandResult:
        """Run ``command`` in the user's shell; wait at most ``timeout`` seconds in all, then kill it.

        Keeps ``limit`` bytes of each output stream. A command that fails is a result, not an error. Raises
        HostKeyError, HostAuthError, HostUnreachableError (also when the connection is lost meanwhile: the command
        may have run), HostTimeoutError.
        """
        begun = time.monotonic()
        try:
            async with (
                asyncio.timeout(timeout),
                self._session(target, command, lambda: Capture(limit)) as (channel, session),
            ):
                if stdin:
                    channel.write(stdin)
                channel.write_eof()
                await session.done.wait()
        except TimeoutError:
            raise HostTimeoutError(f"{target.where}: the command did not end within {timeout:g} s") from None
        return CommandResult(
            session.exit_status,
            session.signal,
            session.text(stderr=False),
            session.text(stderr=True),
            session.truncated,
            time.monotonic() - begun,
        )

    async def stream(
        self, target: SshTarget, command: str, *, timeout: float, stdin: bytes = b""
    ) -> AsyncIterator[tuple[str, str]]:
        """The command's lines as they come: ``("stdout" | "stderr", line)``; at the end ``("exit", status or signal)``.

        A reader that is slow makes the command wait. Leaving the iteration (``aclose``) kills the command. Raises as
        ``run`` does.
        """
        end = time.monotonic() + timeout
        late = HostTimeoutError(f"{target.where}: the command did not end within {timeout:g} s")
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(timeout):
                    started = self._session(target, command, lambda: Lines(QUEUED_LINES))
                    channel, session = await stack.enter_async_context(started)
                if stdin:
                    channel.write(stdin)
                channel.write_eof()
                while (item := await _next_line(session, end)) is not None:
                    yield item
        except TimeoutError:
            raise late from None
        yield EXIT, session.signal if session.exit_status is None else str(session.exit_status)

    async def wait_ready(self, target: SshTarget, deadline: float) -> None:
        """Return as soon as the target takes our connection; try for ``deadline`` seconds, then raise the error of the
        last try that came to its end.

        A wrong host key ends it at once; a refused user key after 30 s, since a cloud may set it late.
        """
        begun = self._clock.monotonic()
        backoff, rng, attempt = Backoff(0.2, 3.0), random.Random(), 0  # noqa: S311 - jitter, not a secret
        last: HostError = HostTimeoutError(f"{target.where}: no SSH answer in time; is the VM up and the port open?")
        while True:
            try:
                async with asyncio.timeout(begun + deadline - self._clock.monotonic()), self._links.session(target):
                    return
            except TimeoutError:
                raise last from None
            except HostError as error:
                last = error
            wait = backoff.delay(attempt, rng)
            patience = min(AUTH_GRACE_S, deadline) if isinstance(last, HostAuthError) else deadline
            patient = last.retriable or isinstance(last, HostAuthError)
            if not patient or self._clock.monotonic() + wait >= begun + patience:
                raise last
            attempt += 1
            await self._clock.sleep(wait)

    async def forget(self, target: SshTarget) -> None:
        """Drop the connection to a target that is gone or about to go; what runs on it ends with an error."""
        self._links.forget(target)

    async def close(self) -> None:
        """Close all connections; what still runs ends with an error."""
        await self._links.close()

    @asynccontextmanager
    async def _session(
        self, target: SshTarget, command: str, make: Callable[[], _Session]
    ) -> AsyncIterator[tuple[_Channel, _Session]]:
        """The command, started; killed if it is left before its end, checked that its end is known otherwise."""
        for again in (True, False):
            async with self._links.session(target) as link:
                try:
                    channel, session = await _start(link, command, make)
                except (OSError, asyncssh.Error) as error:
                    if again and not link.alive and _not_started(error):
                        self._links.drop(link)
                        continue
                    raise translate(error, target, 0.0) from error
                try:
                    yield channel, session
                finally:
                    session.give_up()
                if session.done.is_set() and not session.told:
                    raise HostUnreachableError(f"{target.where}: the connection was lost while the command ran")
                return


async def _start(link: Link, command: str, make: Callable[[], _Session]) -> tuple[_Channel, _Session]:
    if link.connection is None:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "no connection")
    made: list[_Session] = []

    def factory() -> _Session:
        made.append(make())
        return made[0]

    left = SLOT_TRIES
    while True:
        try:
            channel, _ = await link.connection.create_session(factory, command, encoding=None)
            return channel, made[-1]
        except BaseException as error:
            for session in made:
                session.give_up()
            if not (left and link.alive and _not_started(error)):
                raise
        left -= 1
        await asyncio.sleep(SLOT_PAUSE_S)


def _not_started(error: BaseException) -> bool:
    """The connection was dead before the command was sent, so sending it again cannot run it twice."""
    return isinstance(error, asyncssh.ChannelOpenError) and error.code == asyncssh.OPEN_CONNECT_FAILED


async def _next_line(session: Lines, end: float) -> tuple[str, str] | None:
    try:
        async with asyncio.timeout(max(0.0, end - time.monotonic())):
            item = await session.queue.get()
    except QueueClosedError:
        return None
    session.flow()
    return item
