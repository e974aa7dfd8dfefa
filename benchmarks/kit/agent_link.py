"""One simulated agent's link: the real protocol over real TLS on a socket that does not block. In: what to send. Out:
whether it is welcome, how far its frames are acknowledged. Emulated: what it measures (``payload``); it keeps nothing.
"""

import os
import select
import socket
import ssl
import struct
import time

from benchmarks.kit import payload
from mcisd.collectors.tls import SERVER_NAME
from mcisd.model import wire

PER_ADDRESS = 5_000
"""Links from one address of loopback, as ports are few."""
HEAD = struct.Struct("<IQqI")


class AgentLink:
    """One link. ``pump`` goes on with whatever the socket allows."""

    def __init__(self, number: int, plan: dict[str, object]) -> None:
        self.number = number
        self.vm, self.token = plan["vms"][number]  # type: ignore[index]  # checked by its first use
        self.up = self.finished = False
        self.began = time.monotonic()
        self.seq = 0
        self.acked = 0
        self._in, self._out = bytearray(), bytearray()
        self._shaken = False
        self._raw = socket.socket()
        self._raw.setblocking(False)
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._raw.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
        servers: list[tuple[str, int]] = plan["servers"]  # type: ignore[assignment]
        self._raw.connect_ex(tuple(servers[number % len(servers)]))
        self.fd = self._raw.fileno()
        self._tls: ssl.SSLSocket | None = None

    def pump(self, context: ssl.SSLContext) -> int:
        """Read and write what can be; the poll mask to wait for."""
        if self._tls is None:
            if error := self._raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error))
            self._tls = context.wrap_socket(self._raw, server_hostname=SERVER_NAME, do_handshake_on_connect=False)
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                hello: dict[str, object] = {"protocol": wire.PROTOCOL, "vm": self.vm, "token": self.token, "link": 0}
                self._out += wire.pack_json(wire.HELLO, {**hello, "time_ms": int(time.time() * 1000)})
            self._flush(self._tls)
            self._read(self._tls)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            return select.EPOLLIN | select.EPOLLOUT
        return select.EPOLLIN | (select.EPOLLOUT if self._out else 0)

    def send(self, message: bytes) -> bool:
        """Send or keep; False if the socket takes no more now."""
        self._out += message
        if self._tls is None:
            return False
        try:
            self._flush(self._tls)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        return True

    @property
    def waiting(self) -> int:
        return len(self._out)

    def _flush(self, tls: ssl.SSLSocket) -> None:
        while self._out:
            del self._out[: tls.send(self._out)]

    def _read(self, tls: ssl.SSLSocket) -> None:
        while True:
            data = tls.recv(16_384)
            if not data:
                if self.finished:
                    return
                raise OSError(f"the link of agent {self.number} was closed")
            self._in += data
            for kind, body in wire.take(self._in):
                self._take(kind, body)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == wire.WELCOME:
            self.up = True
            self.seq = int(str(wire.unpack_json(body)["seen"]))
            columns = {"id": 1, "columns": payload.COLUMNS}
            self._out += wire.pack_json(wire.SCHEMA, columns)
        elif kind == wire.ACK:
            self.acked = max(wire.unpack_ack(body))
        elif kind == wire.REFUSED:
            raise OSError(f"agent {self.number} was refused: {wire.unpack_json(body)}")

    def close(self) -> None:
        (self._tls or self._raw).close()

    def frame(self, tick: int, time_ms: int, flags: int, first: float | None = None) -> bytes:
        """The next frame, ready to send; ``first`` stands in for the value of the first column."""
        self.seq += 1
        row = payload.values(self.number, tick)
        if first is not None:
            row[0] = first
        return wire.pack(wire.FRAME, HEAD.pack(1, self.seq, time_ms, flags) + row.tobytes())
