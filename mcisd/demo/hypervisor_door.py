"""The way from this host to the daemon in the guests' network: a port here, the same port there.

A listening socket stays in the network it was made in, so it is made before the program moves into the guests'
network; what is accepted there is then carried on from within. In: browsers and `mcis` on this
host. Out: their bytes, unchanged.
"""

import asyncio
import contextlib
import socket

CHUNK = 65_536


class Door:
    """Made on the host's side; ``open`` is called on the guests' side. At most ``most`` connections at once."""

    def __init__(self, most: int = 256) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._inner = ("", 0)
        self._server: asyncio.Server | None = None
        self._free = asyncio.Semaphore(most)
        self._carrying: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> None:
        """Let callers in, to this address on the guests' side."""
        self._inner = (host, port)
        self._server = await asyncio.start_server(self._serve, sock=self._socket)

    async def close(self) -> None:
        """Close the port and all that goes through it."""
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - start_server runs this in a task
        self._carrying.add(task)
        try:
            # The daemon does not answer, or one side broke off: the caller sees the end of the connection.
            with contextlib.suppress(OSError):
                async with self._free:
                    await self._carry(reader, writer)
        finally:
            self._carrying.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self._inner)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, inner_writer))
                group.create_task(_pump(inner_reader, writer))
        except* OSError as errors:
            raise errors.exceptions[0] from None  # one side broke off, which ends the other
        finally:
            inner_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way to their end; tell the other side of the end."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):  # it is closed already
        writer.write_eof()
