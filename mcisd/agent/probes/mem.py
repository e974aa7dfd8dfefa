"""Memory in bytes: /proc/meminfo in, measurement ``mem`` out.

Meanings are Telegraf's: used = total - available, cached includes reclaimable slab. The fields that only exist on
32-bit machines (low_*, high_*) and the vmalloc_* constants are left out.
"""

from mcisd.agent.probes.base import NAN, ProcFiles, per_cent

_PLAIN = (
    ("free", "MemFree"),
    ("buffered", "Buffers"),
    ("active", "Active"),
    ("inactive", "Inactive"),
    ("shared", "Shmem"),
    ("slab", "Slab"),
    ("sreclaimable", "SReclaimable"),
    ("sunreclaim", "SUnreclaim"),
    ("dirty", "Dirty"),
    ("write_back", "Writeback"),
    ("mapped", "Mapped"),
    ("page_tables", "PageTables"),
    ("committed_as", "Committed_AS"),
    ("commit_limit", "CommitLimit"),
    ("huge_page_size", "Hugepagesize"),
    ("huge_pages_total", "HugePages_Total"),
    ("huge_pages_free", "HugePages_Free"),
    ("swap_cached", "SwapCached"),
    ("swap_total", "SwapTotal"),
    ("swap_free", "SwapFree"),
)
_FIRST = ("total", "available", "used", "cached", "used_percent", "available_percent")
FIELDS = tuple((name, "g") for name in _FIRST) + tuple((name, "g") for name, _ in _PLAIN)


def table(meminfo: "str") -> "dict[str, float]":
    """The lines of /proc/meminfo: bytes, or a plain count where the kernel gives no unit."""
    values = {}
    for line in meminfo.split("\n"):
        words = line.split()
        if len(words) >= 2:
            values[words[0][:-1]] = float(int(words[1]) * (1024 if len(words) > 2 else 1))
    return values


def parse(meminfo: "str") -> "list[float]":
    """The values of ``FIELDS``; NaN for what this kernel does not tell. Raises KeyError without a total."""
    values = table(meminfo)
    total = values["MemTotal"]
    cached = values["Cached"] + values.get("SReclaimable", 0.0)
    available = values.get("MemAvailable")
    if available is None:  # kernels before 3.14
        available = values["MemFree"] + values["Buffers"] + cached
    used = total - available
    first = [total, available, used, cached, per_cent(used, total), per_cent(available, total)]
    return first + [values.get(name, NAN) for _, name in _PLAIN]


class MemProbe:
    """Memory of the whole machine."""

    measurement = "mem"
    fields = FIELDS

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError, KeyError."""
        return [({}, parse(self._files.text("proc/meminfo")))]
