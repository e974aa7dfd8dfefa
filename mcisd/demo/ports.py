"""Free ports of this host for servers that we start. Out: ports that nobody else will take before they are used."""

import atexit
import random
import socket

from mcisd.demo.telling import StepFailedError

_SLICE = 200
_unused: list[int] = []


def free_ports(count: int) -> list[int]:
    """Free ports of this host, none given twice, below those the system gives to clients: a client that calls a stopped
    server again and again would else be given the very port one day, and talk to itself."""
    found: list[int] = []
    while len(found) < count:
        if not _unused:
            _unused.extend(_claimed())
        port = _unused.pop()
        if _is_free("127.0.0.1", port):
            found.append(port)
    return found


def free_port(host: str = "127.0.0.1", wanted: int = 0) -> int:
    """``wanted`` if nobody listens on it at ``host``, else any."""
    return wanted if wanted and _is_free(host, wanted) else free_ports(1)[0]


def _claimed() -> list[int]:
    """Ports that no other process takes by this function: a socket on the first of a slice holds the others for us."""
    slices = range(20_000, 32_000, _SLICE)
    for first in random.sample(slices, len(slices)):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
            continue
        atexit.register(claim.close)  # and until then somebody holds it
        return random.sample(range(first + 1, first + _SLICE), _SLICE - 1)
    raise StepFailedError("free ports between 20000 and 32000", "none")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
