"""The daemon's home directory: private, one daemon at a time, and the file that tells clients where it listens."""

import fcntl
import json
import os
from pathlib import Path
from typing import Self, TextIO

from mcisd.model.errors import ConfigError
from mcisd.model.ids import new_id
from mcisd.model.records import Setting
from mcisd.store.base import MetadataStore

INSTALLATION = "installation"


class Home:
    """``with`` holds the home; ConfigError if another daemon does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.path / "daemon.lock").open("a+")
        except OSError as error:
            raise ConfigError(
                f"the home {self.path} cannot be used: {error.strerror}", field="home", remedy="set MCISD_HOME"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise ConfigError(
                f"another mcisd runs in {self.path}", field="home", remedy="stop it, or set MCISD_HOME to another place"
            ) from None
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        (self.path / "daemon.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    def announce(self, url: str, collector: str, version: str) -> None:
        """Tell clients of this machine where the daemon listens."""
        body = json.dumps({"url": url, "collector": collector, "pid": os.getpid(), "version": version})
        temporary = self.path / "daemon.json.new"
        temporary.write_text(body + "\n")
        temporary.replace(self.path / "daemon.json")


async def installation_id(store: MetadataStore) -> str:
    """The id that marks what is ours at every cloud; made at first start."""
    async with store.transaction() as tx:
        row = await tx.get(Setting, INSTALLATION)
        if row is None:
            row = await tx.insert(Setting(uid=INSTALLATION, value={"id": new_id("in")}))
    return row.value["id"]
