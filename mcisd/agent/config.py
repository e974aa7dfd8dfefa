"""The agent's settings: ``agent.json`` in, one checked ``Config`` out. The token stays inside it."""

import os

from mcisd.model import wire

_KNOWN = {
    "vm": str,
    "token": str,
    "servers": list,
    "ca": str,
    "server_name": str,
    "interval_ms": int,
    "spool_dir": str,
    "spool_max_bytes": int,
    "spool_max_age_s": int,
}
_NEEDED = ("vm", "token", "servers", "ca", "server_name")
MIN_INTERVAL_MS = 100
MAX_INTERVAL_MS = 3600 * 1000
MIN_SPOOL_BYTES = 65536


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the field and the remedy."""


class Config:
    """Checked settings; paths are absolute."""

    def __init__(self, body: "dict[str, object]", folder: "str") -> "None":
        _check(body)
        get = body.get
        self.vm = str(body["vm"])
        self.token = str(body["token"])
        self.servers = _servers(body["servers"])
        self.ca = os.path.join(folder, str(body["ca"]))
        self.server_name = str(body["server_name"])
        self.interval_ms = checked_interval(get("interval_ms", 2000))
        self.spool_dir = os.path.join(folder, str(get("spool_dir", "spool")))
        self.spool_max_bytes = max(MIN_SPOOL_BYTES, int(str(get("spool_max_bytes", 64 << 20))))
        self.spool_max_age_s = int(str(get("spool_max_age_s", 86400)))


def load(path: "str") -> "Config":
    """Read and check ``path``. Raises ConfigError; warns of nothing, prints nothing."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError("config %s: others may read it; chmod 600 it" % path)
            body = wire.from_json(file.read().decode())
    except OSError as error:
        raise ConfigError("config %s: cannot read it (%s)" % (path, error.strerror)) from None
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError("config %s: not JSON; install the agent again" % path) from None
    if not isinstance(body, dict):
        raise ConfigError("config %s: not a JSON object; install the agent again" % path)
    return Config(body, os.path.dirname(os.path.abspath(path)))


def checked_interval(value: "object") -> "int":
    """A measuring interval in ms within the bounds. Raises ConfigError."""
    if not isinstance(value, int) or isinstance(value, bool) or not MIN_INTERVAL_MS <= value <= MAX_INTERVAL_MS:
        raise ConfigError("interval_ms: give a whole number from %d to %d" % (MIN_INTERVAL_MS, MAX_INTERVAL_MS))
    return value


def _check(body: "dict[str, object]") -> "None":
    for name in _NEEDED:
        if not body.get(name):
            raise ConfigError("%s: missing; add it to the config" % name)
    for name, value in body.items():
        kind = _KNOWN.get(name)
        if kind is None:
            raise ConfigError("%s: unknown field; remove it from the config" % name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConfigError("%s: must be of type %s" % (name, kind.__name__))


def _servers(value: "object") -> "list[tuple[str, int]]":
    servers = []
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
            raise ConfigError("servers: give a list of [host, port]")
        if not isinstance(entry[1], int) or not 0 < entry[1] < 65536:
            raise ConfigError("servers: the port must be from 1 to 65535")
        servers.append((entry[0], entry[1]))
    return servers
