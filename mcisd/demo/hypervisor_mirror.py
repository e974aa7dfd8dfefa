"""Where Debian's packages come from: the mirror that this machine itself uses, if it is a Debian. Out: a URL."""

import os
import platform
import re
from pathlib import Path

PUBLIC = "http://deb.debian.org/debian"
APT = Path("/etc/apt")
_PLACES = re.compile(r"^(?:deb(?:\s+\[[^\]]*\])?\s+|URIs:\s*)(https?://\S+)", re.MULTILINE)
"""Both forms of apt's sources: a line ``deb [options] URL suite …`` and a field ``URIs: URL``."""


def mirror(apt: Path = APT) -> str:
    """``MCISD_DEBIAN_MIRROR``, else the first mirror of Debian in apt's sources of a Debian, else the public one."""
    named = os.environ.get("MCISD_DEBIAN_MIRROR")
    if named:
        return named
    if not _is_debian():
        return PUBLIC
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    texts = (
        file.read_text(errors="replace") for file in files if file.suffix in (".list", ".sources") and file.is_file()
    )
    return next((found for text in texts for found in mirrors_in(text)), PUBLIC)


def mirrors_in(text: str) -> list[str]:
    """The mirrors of Debian's archive in a file of apt's sources (its security archive and strangers' are none)."""
    return [url.rstrip("/") for url in _PLACES.findall(text) if url.rstrip("/").endswith("/debian")]


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False
