"""clouds.yaml, as OpenStack's own tools keep it. In: its path (or its text) and a cloud's name. Out: that entry."""

import asyncio
from pathlib import Path
from typing import Any

from mcisd.drivers.libraries import library
from mcisd.drivers.openstack.settings import wrong

MOST = 1024 * 1024
"""Bytes of a clouds.yaml that are read at most."""


async def entry(source: str, name: str) -> dict[str, Any]:
    """The entry ``name``; the only one if ``name`` is empty. CloudInvalidError says what is wrong with the file."""
    text = source if "\n" in source else await asyncio.to_thread(_read, source)
    yaml = await library("yaml", "openstack")
    try:
        body = yaml.safe_load(text)
    except yaml.YAMLError:  # its text quotes the file, which holds passwords
        raise wrong("clouds_yaml", "it is not valid YAML", "mend the file; `openstack --os-cloud` must work") from None
    clouds = body.get("clouds") if isinstance(body, dict) else None
    if not isinstance(clouds, dict) or not clouds:
        raise wrong("clouds_yaml", "it has no clouds", "give a file that begins with clouds:")
    found = clouds.get(name) if name else next(iter(clouds.values())) if len(clouds) == 1 else None
    if not isinstance(found, dict):
        known = ", ".join(sorted(str(known) for known in clouds))
        raise wrong("cloud", f"the file has no cloud {name[:60]!r}", f"use one of: {known}")
    return found


def _read(path: str) -> str:
    file = Path(path).expanduser()
    try:
        with file.open(encoding="utf-8") as stream:
            return stream.read(MOST)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise wrong(
            "clouds_yaml", f"{path[:120]!r} cannot be read ({type(error).__name__})", "give a path on the daemon's host"
        ) from None
