"""Swap in bytes: /proc/meminfo and /proc/vmstat in, measurement ``swap`` out (``in`` and ``out`` are counters)."""

import os

from mcisd.agent.probes.base import NAN, ProcFiles, per_cent
from mcisd.agent.probes.mem import table

FIELDS = (("total", "g"), ("used", "g"), ("free", "g"), ("used_percent", "g"), ("in", "c"), ("out", "c"))


def parse(meminfo: "str", vmstat: "str", page: "int") -> "list[float]":
    """The values of ``FIELDS``; ``page`` is the page size in bytes. A kernel without swap has a total of 0."""
    values = table(meminfo)
    total = values.get("SwapTotal", 0.0)
    free = values.get("SwapFree", 0.0)
    moved = []
    for name in ("\npswpin ", "\npswpout "):
        at = vmstat.find(name)
        moved.append(NAN if at < 0 else float(int(vmstat[at + len(name) :].split("\n", 1)[0]) * page))
    return [total, total - free, free, per_cent(total - free, total), *moved]


class SwapProbe:
    """Swap of the whole machine."""

    measurement = "swap"
    fields = FIELDS

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files
        self._page = os.sysconf("SC_PAGE_SIZE")

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError."""
        files = self._files
        return [({}, parse(files.text("proc/meminfo"), files.text("proc/vmstat"), self._page))]
