"""A small SMTP server that takes every mail (RFC 5321, the minimum), for where aiosmtpd is not installed.

In: an SMTP conversation. Out: the raw content of each mail.
"""

import asyncio
from collections.abc import Callable

MAX_MAIL = 1_048_576


class SmtpSink(asyncio.Protocol):
    """One connection. ``take`` is called with each mail."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._buffer = b""
        self._mail: list[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server gives
        self._transport = transport
        self._say("220 demo.example takes mail")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\r\n")
        for line in lines:
            self._line(line)
        if len(self._buffer) > MAX_MAIL and self._transport is not None:
            self._transport.abort()

    def _line(self, line: bytes) -> None:
        if self._mail is not None:
            self._content(self._mail, line)
            return
        match line[:4].upper():
            case b"EHLO" | b"HELO":
                self._say("250 demo.example")
            case b"DATA":
                self._mail = []
                self._say("354 go on, end with a dot alone")
            case b"QUIT":
                self._say("221 bye")
                if self._transport is not None:
                    self._transport.close()
            case b"MAIL" | b"RCPT" | b"RSET" | b"NOOP":
                self._say("250 ok")
            case _:
                self._say("502 not known here")

    def _content(self, mail: list[bytes], line: bytes) -> None:
        if line == b".":
            self._mail = None
            self._take(b"\r\n".join(mail))
            self._say("250 taken")
        elif sum(map(len, mail)) > MAX_MAIL and self._transport is not None:
            self._transport.abort()
        else:
            mail.append(line.removeprefix(b".") if line.startswith(b"..") else line)

    def _say(self, text: str) -> None:
        if self._transport is not None:
            self._transport.write(f"{text}\r\n".encode())
