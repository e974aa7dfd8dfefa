"""Where the daemon is and what opens it. In: environment and the daemon's home directory. Out: URL and token."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcisd.client.errors import UNREACHABLE, ApiError

DEFAULT_URL = "http://127.0.0.1:8880"


@dataclass(frozen=True, slots=True)
class Target:
    """Base URL without a slash at its end, and the bearer token (kept out of every text about it)."""

    url: str
    token: str = field(repr=False)


def home_of(environment: Mapping[str, str]) -> Path:
    """The daemon's home: ``MCISD_HOME``, else ``$XDG_DATA_HOME/mcisd``, else ``~/.local/share/mcisd``."""
    named = environment.get("MCISD_HOME")
    if named:
        return Path(named).expanduser().absolute()
    base = environment.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "mcisd"


def discover(environment: Mapping[str, str] = os.environ, url: str | None = None, home: Path | None = None) -> Target:
    """The daemon to talk to: ``url`` or ``MCIS_URL`` with ``MCIS_TOKEN``; what is missing is read in ``home``.

    ApiError if no token can be found, or its file cannot be read.
    """
    home = home or home_of(environment)
    token = environment.get("MCIS_TOKEN", "").strip() or _token(home)
    found = url or environment.get("MCIS_URL", "").strip() or _url(home)
    if not found.startswith(("http://", "https://")):
        raise ApiError(
            f"{found[:80]!r} is not a URL", code="invalid", field="url", remedy="write it as http://host:port"
        )
    return Target(found.rstrip("/"), token)


def _token(home: Path) -> str:
    path = home / "token"
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        raise ApiError(
            f"there is no token: {path} does not exist",
            code=UNREACHABLE,
            remedy="start the daemon with `mcisd run`, or set MCIS_TOKEN (and MCIS_URL) for one elsewhere",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ApiError(
            f"token file {path} cannot be read: {error}", code=UNREACHABLE, remedy="run as the user of the daemon"
        ) from None
    if not token or not token.isascii() or not token.isprintable():
        raise ApiError(f"{path} holds no token", code=UNREACHABLE, remedy="delete it and start the daemon again")
    return token


def _url(home: Path) -> str:
    """What the running daemon wrote down; the default address if it wrote nothing."""
    try:
        document = json.loads((home / "daemon.json").read_text())
    except (OSError, ValueError):
        return DEFAULT_URL
    url = document.get("url") if isinstance(document, dict) else None
    return url if isinstance(url, str) and url else DEFAULT_URL
