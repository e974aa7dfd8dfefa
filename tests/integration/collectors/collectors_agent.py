"""A small agent for tests: speaks the wire form over real TLS, keeps what is not acknowledged, and sends it again."""

import array
import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Self

from mcisd.collectors.tls import SERVER_NAME
from mcisd.model import wire

COLUMNS = [["cpu", "usage", {"cpu": "all"}, "g"], ["net", "bytes", {"interface": "eth0"}, "c"]]


def client_context(ca_pem: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca_pem)


class Connection:
    """One connection as an agent sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()
        self._messages: list[tuple[int, bytes]] = []

    @classmethod
    async def open(cls, port: int, ca_pem: str) -> Self:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_context(ca_pem), server_hostname=SERVER_NAME
            )
        return cls(reader, writer)

    def send(self, message: bytes) -> None:
        self._writer.write(message)

    async def hello(
        self, vm: str, token: str = "good", time_ms: int | None = None, link: int = 0, stay: bool = False
    ) -> tuple[int, dict[str, object]]:
        """Greet; the kind and the body of the answer."""
        now = int(time.time() * 1000) if time_ms is None else time_ms
        body: dict[str, object] = {"protocol": wire.PROTOCOL, "vm": vm, "token": token, "agent": "test", "link": link}
        self.send(wire.pack_json(wire.HELLO, body | {"time_ms": now, "stay": stay}))
        kind, payload = await self.receive()
        return kind, wire.unpack_json(payload)

    def schema(self, number: int = 1, columns: object = COLUMNS) -> None:
        self.send(wire.pack_json(wire.SCHEMA, {"id": number, "columns": columns}))

    def frame(self, seq: int, time_ms: int, values: list[float], number: int = 1, old: bool = False) -> None:
        """A frame of the live lane, or an ``old`` one of the replay."""
        flags = wire.REPLAYED if old else 0
        self.send(wire.pack_frame(number, seq, time_ms, flags, array.array("d", values)))

    async def receive(self, timeout: float = 10.0) -> tuple[int, bytes]:
        """The next message. ConnectionError when the other side has closed."""
        async with asyncio.timeout(timeout):
            while not self._messages:
                data = await self._reader.read(65536)
                if not data:
                    raise ConnectionResetError("closed by the receiver")
                self._buffer += data
                self._messages = wire.take(self._buffer)
        return self._messages.pop(0)

    async def receive_until(self, wanted: Callable[[int, bytes], bool]) -> bytes:
        while True:
            kind, payload = await self.receive()
            if wanted(kind, payload):
                return payload

    async def acked(self, seq: int, old: bool = False) -> None:
        """Wait until this frame of its lane is acknowledged."""
        await self.receive_until(lambda kind, payload: kind == wire.ACK and wire.unpack_ack(payload)[not old] >= seq)

    async def drain(self) -> None:
        async with asyncio.timeout(10):
            await self._writer.drain()

    def cut(self) -> None:
        """As a network does it: without a word."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(10):
                await self._writer.wait_closed()
        except OSError:
            self._writer.transport.abort()  # the other side was quicker
