"""The directory of hours: which files make up each hour, and how one set takes the place of another.

``HOUR-N.log`` and ``HOUR-N.cells`` with a running number N of the hour. A cells file holds all that the logs with a
lower number held, so its renaming is the moment that counts: after a crash what it replaces is removed.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcisd.store.series.cold import ColdFile
from mcisd.store.series.hot import HotLog
from mcisd.store.series.rows import HOUR_MS, Rows

NAME = re.compile(r"(-?\d+)-(\d+)\.(log|cells)")
UNFINISHED = ".new"


@dataclass(frozen=True, slots=True)
class Hour:
    """The files of one hour, and the number of the newest. What the logs say comes after what the cells file says."""

    number: int
    cold: ColdFile | None
    logs: tuple[HotLog, ...]
    newest: int

    @property
    def start_ms(self) -> int:
        return self.number * HOUR_MS

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(log.size for log in self.logs) + (self.cold.size if self.cold is not None else 0)


class Hours:
    """One thread changes it; others look at ``between``, a picture that stays good while they need it."""

    def __init__(self, directory: Path) -> None:
        """Read what is there and tidy up after a crash. Blocks. OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._hours: dict[int, Hour] = {}
        self._sealed: set[int] = set()
        self._load()

    def all(self) -> list[Hour]:
        return sorted(self._hours.copy().values(), key=lambda hour: hour.number)

    def between(self, start_ms: int, end_ms: int) -> list[Hour]:
        """The hours with windows that start in [start_ms, end_ms), in the order of time."""
        return [hour for hour in self.all() if start_ms - HOUR_MS < hour.start_ms < end_ms]

    def append(self, number: int, parts: Sequence[Rows]) -> None:
        """Durable when this returns. OSError."""
        hour = self._hours.get(number) or Hour(number, None, (), 0)
        if not hour.logs or number in self._sealed:
            log = HotLog(self._directory / f"{number}-{hour.newest + 1}.log")
            self._sync()
            hour = Hour(number, hour.cold, (*hour.logs, log), hour.newest + 1)
            self._hours[number] = hour
            self._sealed.discard(number)
        hour.logs[-1].append(parts)

    def seal(self, number: int) -> Hour:
        """The hour as it is now: what is written from now on goes to another log."""
        self._sealed.add(number)
        return self._hours[number]

    def unfinished(self, number: int) -> Path:
        """Where a new cells file of this hour is to be written."""
        return self._directory / f"{number}{UNFINISHED}"

    def replace(self, old: Hour) -> None:
        """Let the unfinished cells file take the place of all files of ``old``, which was sealed."""
        now = self._hours[old.number]
        path = self._directory / f"{old.number}-{old.newest}.cells"
        if old.cold is not None:
            old.cold.hold()
        self.unfinished(old.number).replace(path)
        self._sync()
        logs = tuple(log for log in now.logs if log not in old.logs)
        self._hours[old.number] = Hour(old.number, ColdFile(path), logs, now.newest)
        self._remove(old, keep=path)

    def drop(self, old: Hour) -> None:
        """Remove all files of ``old``, which was sealed."""
        now = self._hours[old.number]
        if old.cold is not None:
            old.cold.hold()
        logs = tuple(log for log in now.logs if log not in old.logs)
        if logs:
            self._hours[old.number] = Hour(old.number, None, logs, now.newest)
        else:
            del self._hours[old.number]
            self._sealed.discard(old.number)
        self._remove(old)
        self._sync()

    def close(self) -> None:
        for hour in self._hours.values():
            for log in hour.logs:
                log.close()

    def _remove(self, hour: Hour, keep: Path | None = None) -> None:
        for log in hour.logs:
            log.remove()
        if hour.cold is not None and hour.cold.path != keep:
            hour.cold.remove()

    def _sync(self) -> None:
        """Make names that were added or removed durable."""
        handle = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _load(self) -> None:
        found: dict[int, dict[str, list[int]]] = {}
        for path in self._directory.iterdir():
            if path.suffix == UNFINISHED:
                path.unlink()
            elif (match := NAME.fullmatch(path.name)) is not None:
                kinds = found.setdefault(int(match[1]), {"log": [], "cells": []})
                kinds[match[3]].append(int(match[2]))
        for number, kinds in found.items():
            self._load_hour(number, sorted(kinds["log"]), sorted(kinds["cells"]))

    def _load_hour(self, number: int, logs: list[int], cells: list[int]) -> None:
        newest = cells[-1] if cells else 0
        for name in [*(f"{number}-{n}.log" for n in logs if n <= newest), *(f"{number}-{n}.cells" for n in cells[:-1])]:
            (self._directory / name).unlink()  # a crash came between the renaming and this
        kept = [n for n in logs if n > newest]
        cold = ColdFile(self._directory / f"{number}-{newest}.cells") if cells else None
        opened = tuple(HotLog(self._directory / f"{number}-{n}.log") for n in kept)
        self._hours[number] = Hour(number, cold, opened, kept[-1] if kept else newest)
