"""One TLS client connection without blocking: bytes to send in, bytes received out.

The certificate authority is pinned and the name is checked; there is no way to switch either off. On the Python
versions listed below the TLS engine is used through ``_ssl``, the C part of the module ``ssl``: the same engine and
the same checks without 3 MB of Python on top. Any other version takes the module ``ssl`` itself.
"""

import errno
import os
import sys

LIGHT = (3, 7) <= sys.version_info[:2] <= (3, 13)
MYPY = False
if MYPY:
    from mcisd.agent.probes.own import Stats
if MYPY or not LIGHT:
    import socket
    import ssl
else:
    import _socket as socket
    import _ssl as ssl

_CERT_REQUIRED = 2
_TLS_1_2 = 0x0303
_READ = 16384


class LinkError(OSError):
    """The connection cannot be made or has ended; the text says why in one line."""


def client_context(ca: "str") -> "ssl.SSLContext":
    """A context that trusts the authorities in the file ``ca`` alone. Raises OSError (ssl.SSLError is one)."""
    context: "ssl.SSLContext" = getattr(ssl, "_SSLContext" if LIGHT else "SSLContext")(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca, None, None)
    if sys.version_info >= (3, 7):
        setattr(context, "minimum_version", _TLS_1_2)  # noqa: B010 - a plain number, which only the stubs refuse
    else:
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    if context.verify_mode != _CERT_REQUIRED or not context.check_hostname:
        raise LinkError("this Python's TLS does not check certificates by default")
    return context


class Channel:
    """One connection. ``ready`` turns true after the handshake; drive it with ``pump`` when a poll says so."""

    def __init__(
        self,
        context: "ssl.SSLContext",
        name: "str",
        family: "int",
        address: "tuple[object, ...]",
        meter: "Stats",
    ) -> "None":
        """Begin to connect to ``address``, whose certificate must bear ``name``. Raises OSError.

        Bytes on the wire are counted in ``meter``.
        """
        self.ready = False
        self._meter = meter
        self._connected = False
        self._lost = "the server closed the connection"
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        wrap = getattr(context, "_wrap_bio" if LIGHT else "wrap_bio")
        self._tls: "ssl.SSLObject" = wrap(self._in, self._out, False, name)
        self._pending = b""
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = self._socket.connect_ex(address)
            if code not in (0, errno.EINPROGRESS):
                raise LinkError("cannot connect: %s" % os.strerror(code))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> "int":
        """For select."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> "bool":
        """True if it waits for room to send (or for the connection)."""
        return not self._connected or bool(self._pending)

    @property
    def backlog(self) -> "int":
        """Bytes taken over by ``send`` that the network has not taken yet."""
        return len(self._pending) + self._out.pending

    def send(self, data: "bytes") -> "None":
        """Take over bytes to send; only once ``ready``. They go out with the next ``pump``."""
        self._tls.write(data)

    def pump(self, readable: "bool", writable: "bool") -> "bytes":
        """Move what can be moved now and return what was received. Raises LinkError once the connection has ended."""
        if not self._connected:
            if not writable:
                return b""
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise LinkError("cannot connect: %s" % os.strerror(code))
            self._connected = True
        ended = readable and self._fill()
        try:
            got = self._turn()
        except (ssl.SSLError, ValueError) as error:  # Python 3.6 tells a wrong name by a ValueError
            self.flush()  # the alert tells the server why
            raise LinkError("TLS: %s" % _reason(error)) from None
        self.flush()
        if ended and not got:
            raise LinkError(self._lost)
        return got

    def close(self) -> "None":
        """Close at once."""
        self._socket.close()

    def _fill(self) -> "bool":
        """Take in at most 64 kB from the socket, so that a flood cannot hold up measuring; true at its end."""
        for _ in range(4):
            try:
                data = self._socket.recv(_READ)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                self._lost = "connection lost: %s" % error.strerror
                return True  # what came before it is still to be read
            if not data:
                self._in.write_eof()
                return True
            self._meter.received += len(data)
            self._in.write(data)
        return False

    def _turn(self) -> "bytes":
        parts = []
        try:
            if not self.ready:
                self._tls.do_handshake()
                self.ready = True
            while True:
                part = self._tls.read(_READ)
                if not part:
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            if not parts:
                raise LinkError(self._lost) from None
        return b"".join(parts)

    def flush(self) -> "None":
        """Hand the network what it takes now. A lost connection shows at the next ``pump``."""
        if self._out.pending:
            self._pending += self._out.read()
        while self._pending and self._connected:
            try:
                count = self._socket.send(self._pending[:65536])
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._lost = "connection lost: %s" % error.strerror
                self._pending = b""  # the next read ends the connection; what came before it is still to be read
                return
            self._meter.sent += count
            self._pending = self._pending[count:]


def _reason(error: "Exception") -> "str":
    """One line of a failure: the verification message if there is one."""
    text = getattr(error, "verify_message", None) or getattr(error, "reason", None) or str(error)
    return str(text).replace("\n", " ")[:200]
