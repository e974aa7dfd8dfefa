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
    """``with`` holds the home for the process of this name; ConfigError if another one of that name does. Processes of
    other names may share it: they have the same secret key, and files of their own."""

    def __init__(self, path: Path, name: str = "daemon") -> None:
        self.path = path
        self._name = name
        self._lock: TextIO | None = None
        self._announced = False

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.path / f"{self._name}.lock").open("a+")
        except OSError as error:
            raise ConfigError(
                f"the home {self.path} cannot be used: {error.strerror}", field="home", remedy="set MCISD_HOME"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise ConfigError(
                f"another mcisd named {self._name} runs in {self.path}",
                field="home",
                remedy="stop it, or set MCISD_HOME to another place, or node.name to another name",
            ) from None
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._announced:
            (self.path / "daemon.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    def announce(self, url: str, collector: str, version: str) -> None:
        """Tell clients of this machine where the daemon listens."""
        body = json.dumps({"url": url, "collector": collector, "pid": os.getpid(), "version": version})
        temporary = self.path / "daemon.json.new"
        temporary.write_text(body + "\n")
        temporary.replace(self.path / "daemon.json")
        self._announced = True


async def installation_id(store: MetadataStore) -> str:
    """The id that marks what is ours at every cloud; made at first start."""
    async with store.transaction() as tx:
        row = await tx.get(Setting, INSTALLATION)
        if row is None:
            row = await tx.insert(Setting(uid=INSTALLATION, value={"id": new_id("in")}))
    return row.value["id"]
