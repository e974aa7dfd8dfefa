"""The listening socket: connections in, streams that have shaken hands out.

Handshakes are dear, so only some are made at once; who comes then waits in the kernel's queue, and a thousand agents
that come together are served one after the other instead of all too late. A peer that is slow keeps its turn for a
second only.
"""

import asyncio
import logging
import select
import socket
import ssl
from collections.abc import Callable

from mcisd.aio.clock import Clock
from mcisd.aio.supervise import Service, TaskSet
from mcisd.collectors.stats import ReceiveStats

log = logging.getLogger(__name__)

AT_ONCE = 64
TURN_S = 1.0
BACKLOG = 4096
PAUSE_S = 0.2
GONE: int = getattr(select, "POLLRDHUP", 0)
"""POLLHUP and POLLERR are always told; only Linux can tell that the peer will send no more."""

Accepted = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


class Door:
    """Hands each connection to ``accepted`` after its handshake, which may take ``handshake_s``."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        accepted: Accepted,
        clock: Clock,
        stats: ReceiveStats,
        handshake_s: float,
    ) -> None:
        self._context = context
        self._accepted = accepted
        self._clock = clock
        self._stats = stats
        self._handshake_s = handshake_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks = TaskSet("agent handshake")
        self._listener: socket.socket | None = None
        self._service = Service("agents' door", self._accept, clock)

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port. OSError if the address cannot be had."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        self._listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        self._listener.setblocking(False)
        self._service.start()
        return int(self._listener.getsockname()[1])

    async def close(self) -> None:
        """Listen no more; handshakes under way end."""
        await self._service.stop()
        if self._listener is not None:
            self._listener.close()
        await self._tasks.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while self._listener is not None:
            await self._turns.acquire()
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # the peer is gone already, or this process has no descriptor left
                log.warning("cannot accept an agent's connection: %s", error)
                self._turns.release()
                await self._clock.sleep(PAUSE_S)
            else:
                self._tasks.spawn(self._shake(connection))

    async def _shake(self, connection: socket.socket) -> None:
        if _hung_up(connection):
            self._stats.hung_up += 1
            self._turns.release()
            connection.close()
            return
        loop = asyncio.get_running_loop()
        turn = loop.call_later(TURN_S, self._turns.release)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        timeout = self._handshake_s if self._context else None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context, ssl_handshake_timeout=timeout
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            self._stats.bad_handshakes += 1
            log.debug("a connection did not come to TLS: %s", error)
            connection.close()
            return
        finally:
            if turn.when() > loop.time():
                turn.cancel()
                self._turns.release()
        self._accepted(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def _hung_up(connection: socket.socket) -> bool:
    """The peer has gone while its connection waited in the system's queue, as in a storm: no handshake for it.

    Its first message may lie there still, so reading would not tell.
    """
    look = select.poll()
    look.register(connection, GONE)
    return bool(look.poll(0))
