"""Host name in, socket address out, without ever blocking the agent.

A plain IP address is taken as it is. For a name the system's resolver is asked in a child process, because it may take
half a minute when the network is down; the answer comes through a pipe.
"""

import os
import sys

MYPY = False
if MYPY:
    import signal
else:
    import _signal as signal  # the C part: the module signal adds enumerations, 0.5 MB
if MYPY or sys.version_info < (3, 7) or sys.version_info >= (3, 14):
    import socket
else:
    import _socket as socket


def numeric(host: "str", port: "int") -> "tuple[int, tuple[object, ...]] | None":
    """``(family, address)`` if ``host`` is an IP address, else None."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return int(family), (host, port)
    return None


class Lookup:
    """One name look-up under way; ``fileno`` turns readable when it is done."""

    def __init__(self, host: "str") -> "None":
        """Start it. Raises OSError if no process can be made."""
        self._read, write = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _answer(host, write)
        os.close(write)

    def fileno(self) -> "int":
        """For select."""
        return self._read

    def result(self) -> "str":
        """The IP address found, or an empty string; call it when ``fileno`` is readable, then ``close``."""
        return os.read(self._read, 200).decode()

    def close(self) -> "None":
        """End it, done or not."""
        os.close(self._read)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _answer(host: "str", write: "int") -> "None":
    """In the child: ask, answer, end, without running any of the parent's code."""
    try:
        found = socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM)
        os.write(write, str(found[0][4][0]).encode())
    except OSError:
        os._exit(1)  # no such name: the empty answer says so
    finally:
        os._exit(0)
