"""Which server to call: those that servers told us of first, those of the config as a last resort.

What was told is kept in a file beside the spool, so that an agent that starts anew calls where it was sent last.
"""

import os

from mcisd.model import wire

MYPY = False
if MYPY:
    from typing import Sequence

    Server = tuple[str, int]

MOST = 32


class Servers:
    """A list with a place in it. ``current`` is the one to call."""

    def __init__(self, path: "str", configured: "Sequence[Server]") -> "None":
        """Take up what the file ``path`` remembers; one that cannot be read is as good as none."""
        self._path = path
        self._configured = list(configured)
        self._told: "list[Server]" = _stored(path)
        self._all = self._merged()
        self._at = 0

    @property
    def current(self) -> "Server":
        """The server to call now."""
        return self._all[self._at]

    def next(self) -> "None":
        """The current one did not do: go on to the one behind it, round and round."""
        self._at = (self._at + 1) % len(self._all)

    def learn(self, told: "object") -> "None":
        """A server says whom to call in case it goes. Raises WireError on what is no list of servers."""
        self._remember(checked(told), self.current)

    def go(self, told: "object") -> "None":
        """A server sends us elsewhere: call the first of these. Raises WireError."""
        servers = checked(told)
        if not servers:
            raise wire.WireError("moved to nowhere")
        self._remember(servers, servers[0])

    def _remember(self, told: "list[Server]", current: "Server") -> "None":
        if current in told:  # in front, as a new start begins there
            told = [current] + [server for server in told if server != current]
        changed = told != self._told
        self._told = told
        self._all = [current] + [server for server in self._merged() if server != current]
        self._at = 0
        if changed:
            _store(self._path, told)

    def _merged(self) -> "list[Server]":
        found = list(self._told)
        return found + [server for server in self._configured if server not in found]


def checked(value: "object") -> "list[Server]":
    """``[[host, port], …]`` as pairs. Raises WireError."""
    if not isinstance(value, list) or len(value) > MOST:
        raise wire.WireError("servers: not a list of at most %d" % MOST)
    servers: "list[Server]" = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 2:
            raise wire.WireError("servers: not a pair of host and port")
        host, port = entry
        if not isinstance(host, str) or not host or not isinstance(port, int) or not 0 < port < 65536:
            raise wire.WireError("servers: not a host and a port")
        if (host, port) not in servers:
            servers.append((host, port))
    return servers


def _stored(path: "str") -> "list[Server]":
    try:
        with open(path, "rb") as file:
            return checked(wire.from_json(file.read(65536).decode()))
    except (OSError, ValueError):
        return []  # the first start, or a torn file: the config is there


def _store(path: "str", servers: "list[Server]") -> "None":
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            file.write(wire.to_json([list(server) for server in servers]).encode())
        os.replace(part, path)
    except OSError:
        return  # a full disk: it is told again with the next link
