"""Settings of the local cloud: where it lives, how slow it pretends to be. In: environment, connection. Out: data."""

import os
from dataclasses import dataclass
from pathlib import Path

from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudInvalidError

HOME_VARIABLE = "MCISD_LOCAL_HOME"
SOCKET_NAME = "cloud.sock"
SSH_PORT = 22022
MAX_BODY = 256 * 1024
"""Largest request body in bytes."""
MAX_COMMAND = 128 * 1024
"""Longest remote command in bytes; the kernel's own limit for one argument."""
START_TIMEOUT = 10.0
"""Seconds a starting cloud has until its socket must answer."""
_MAX_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """How the cloud behaves; times in seconds."""

    create_delay: tuple[float, float] = (0.3, 0.9)
    """Shortest and longest time from accepted to booting; each VM has its own, fixed by its token."""
    change_delay: float = 0.2
    terminated_kept: float = 60.0
    """How long a terminated VM is still listed."""
    vm_quota: int = 250
    """VMs per account and region."""

    def scaled(self, factor: float) -> "CloudSettings":
        """The same cloud with all state changes faster or slower by ``factor``."""
        low, high = self.create_delay
        return CloudSettings(
            (low * factor, high * factor), self.change_delay * factor, self.terminated_kept, self.vm_quota
        )


def default_home() -> Path:
    """Where the cloud lives unless told otherwise."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named) if named else Path.home() / ".local" / "share" / "mcisd" / "local-cloud"


def home_of(spec: ConnectionSpec) -> Path:
    """The cloud's directory for a connection: credential, region information, environment, default, in this order."""
    named = spec.credential.get("home") or spec.region_info.get("home")
    return checked_home(Path(named) if named else default_home())


def checked_home(home: Path) -> Path:
    """``home`` made absolute; CloudInvalidError if its socket's path would be longer than the system allows."""
    home = home.expanduser().absolute()
    if len(os.fsencode(home / SOCKET_NAME)) > _MAX_SOCKET_PATH:
        raise CloudInvalidError(
            f"home {str(home)[:40]}… is too long for a socket", field="home", remedy="use a path below 90 bytes"
        )
    return home
