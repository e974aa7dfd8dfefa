"""Open SSH connections, shared: a target in, a connection with a free session out, reused, bounded and closed in time.

Callers that want the same host at the same time share one attempt. When the pool is full, the connection that has
been idle longest makes room; when none is idle, the caller waits.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh

from mcisd.aio.supervise import TaskSet
from mcisd.daemon.fleet.connect import connect
from mcisd.daemon.fleet.target import SshTarget
from mcisd.model.errors import HostUnreachableError, McisdError

Key = tuple[str, int, str, str, str]

SESSIONS = 8  # OpenSSH allows ten to a connection (MaxSessions); two stay free for people


class Link:
    """One pooled connection and who uses it."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.connection: asyncssh.SSHClientConnection | None = None
        self.attempt: asyncio.Task[McisdError | None] | None = None
        self.sessions = asyncio.Semaphore(SESSIONS)
        self.users = 0
        self.ended = False
        self.idle_timer: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        return self.connection is not None and not self.connection.is_closed()


class Links:
    """The pool itself."""

    def __init__(self, *, size: int, handshakes: int, connect_timeout: float, idle_timeout: float) -> None:
        self._links: dict[Key, Link] = {}  # in order of last use
        self._room = asyncio.Semaphore(size)
        self._waiting = 0
        self._handshakes = asyncio.Semaphore(handshakes)
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._attempts = TaskSet("ssh connect")
        self._closed = False

    def __len__(self) -> int:
        return len(self._links)

    @asynccontextmanager
    async def session(self, target: SshTarget) -> AsyncIterator[Link]:
        """A live link with one session reserved. Raises HostError as ``connect`` does."""
        link = await self._borrow(target)
        try:
            async with link.sessions:
                yield link
        finally:
            self._give_back(link)

    def drop(self, link: Link) -> None:
        """Forget a link that turned out dead; those who still use it see its end."""
        self._remove(link)
        self._end(link, at_once=True)

    def forget(self, target: SshTarget) -> None:
        """Close the link to this target, if any; commands under way on it end with an error."""
        link = self._links.get(_key(target))
        if link is not None:
            self.drop(link)

    async def close(self) -> None:
        """End every link and attempt."""
        self._closed = True
        links = list(self._links.values())
        self._links.clear()
        for link in links:
            self._end(link, at_once=False)
        await self._attempts.close()
        closing = [link.connection.wait_closed() for link in links if link.connection is not None]
        try:
            async with asyncio.timeout(2.0):
                await asyncio.gather(*closing)
        except TimeoutError:
            for link in links:
                if link.connection is not None:
                    link.connection.abort()

    async def _borrow(self, target: SshTarget) -> Link:
        if self._closed:
            raise HostUnreachableError(f"{target.where}: the daemon is stopping")
        key = _key(target)
        link = self._links.pop(key, None)
        if link is not None and link.connection is not None and not link.alive:
            self._end(link, at_once=True)
            link = None
        link = link or Link(key)
        self._links[key] = link
        link.users += 1
        if link.idle_timer is not None:
            link.idle_timer.cancel()
            link.idle_timer = None
        try:
            await self._connected(link, target)
        except BaseException:
            self._give_back(link)
            raise
        return link

    async def _connected(self, link: Link, target: SshTarget) -> None:
        if link.alive:
            return
        if link.attempt is None:
            link.attempt = self._attempts.spawn(self._open(link, target), f"ssh connect {target.where}")
        try:
            # The attempt belongs to all who wait for it: one that gives up must not end it for the others.
            failure = await asyncio.shield(link.attempt)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if link.attempt.cancelled() and caller is not None and not caller.cancelling():
                raise HostUnreachableError(f"{target.where}: the daemon is stopping") from None
            raise
        if failure is not None:
            raise failure

    async def _open(self, link: Link, target: SshTarget) -> McisdError | None:
        """Take room, connect; the error is the result, since there may be many or none who wait for it."""
        given_up = HostUnreachableError(f"{target.where}: the connection was given up")
        await self._take_room()
        try:
            if not link.users:
                return given_up
            link.connection = await connect(target, self._handshakes, self._connect_timeout)
        except McisdError as error:
            return error
        finally:
            if link.connection is None:
                self._room.release()
                self._remove(link)
        if self._links.get(link.key) is not link:
            self._end(link, at_once=True)
            return given_up
        if not link.users:
            self._rest(link)
        return None

    async def _take_room(self) -> None:
        if self._room.locked():
            self._evict()
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1

    def _evict(self) -> None:
        for link in self._links.values():
            if not link.users and link.connection is not None:
                self.drop(link)
                return

    def _give_back(self, link: Link) -> None:
        link.users -= 1
        if link.users or self._links.get(link.key) is not link or link.connection is None:
            return
        if self._waiting or not link.alive:
            self.drop(link)
        else:
            self._rest(link)

    def _rest(self, link: Link) -> None:
        link.idle_timer = asyncio.get_running_loop().call_later(self._idle_timeout, self.drop, link)

    def _remove(self, link: Link) -> None:
        if self._links.get(link.key) is link:
            del self._links[link.key]

    def _end(self, link: Link, *, at_once: bool) -> None:
        """Close the connection once and free its room."""
        if link.idle_timer is not None:
            link.idle_timer.cancel()
            link.idle_timer = None
        if link.connection is not None and not link.ended:
            link.ended = True
            (link.connection.abort if at_once else link.connection.close)()
            self._room.release()


def _key(target: SshTarget) -> Key:
    return target.address, target.port, target.user, target.host_key, target.private_key
