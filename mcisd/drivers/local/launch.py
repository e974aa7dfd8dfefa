"""Start and stop the cloud's process. In: its home. Out: a cloud that answers on its socket, or one that has ended.

Light on imports: the short-lived starter process pays for them.
"""

import contextlib
import fcntl
import http.client
import json
import os
import socket
import subprocess  # starts our own program with fixed arguments
import sys
import time
from pathlib import Path
from typing import Any

from mcisd.drivers.local.settings import SOCKET_NAME, START_TIMEOUT

LOCK_NAME = "cloud.lock"
_PAUSE = 0.03


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to the cloud's socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def request(home: Path, method: str, path: str, body: dict[str, bool] | None = None, timeout: float = 5.0) -> Any:
    """What the cloud in ``home`` answers, None if it does not; blocks for at most ``timeout`` seconds at a time."""
    connection = _UnixConnection(home / SOCKET_NAME, timeout)
    try:
        connection.request(method, path, json.dumps(body or {}))
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def hold_lock(home: Path) -> int | None:
    """The lock that makes a cloud the only one in ``home``: a descriptor to keep open, None if another holds it."""
    fd = os.open(home / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def start(home: Path, options: list[str]) -> str:
    """Start a cloud of its own session and wait until it answers; "" or one sentence about what went wrong."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if request(home, "GET", "/v1/ping"):
        return ""
    with (home / "cloud.err").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "mcisd.drivers.local.cloud", "--home", str(home), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if answer := request(home, "GET", "/v1/ping"):
            if answer["pid"] != child.pid:  # another was faster; ours must not wait for the other's end to take over
                child.kill()
                child.wait()
            return ""
        if child.poll() not in {None, 0}:  # 0: another cloud was faster and will answer soon
            return f"the local cloud did not start; see {home / 'cloud.err'}"
        time.sleep(_PAUSE)
    return f"the local cloud did not answer within {START_TIMEOUT:.0f} s; see {home / 'cloud.log'}"


def stop(home: Path, *, terminate: bool) -> str:
    """Stop the cloud, with ``terminate`` after all its VMs; one sentence about what happened."""
    if request(home, "POST", "/v1/stop", {"terminate": terminate}) is None:
        return "the local cloud is not running"
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        lock = hold_lock(home)
        if lock is not None:
            os.close(lock)
            with contextlib.suppress(FileNotFoundError):
                (home / SOCKET_NAME).unlink()
            return "the local cloud has stopped" + (", its VMs are terminated" if terminate else "; its VMs go on")
        time.sleep(_PAUSE)
    return "the local cloud did not stop within 30 s"
