"""Disk I/O of whole devices: /proc/diskstats in, measurement ``diskio`` out (counters, times in ms, 3 rates)."""

import os

from mcisd.agent.probes.base import NAN, ProcFiles

FIELDS = (
    ("reads", "c"),
    ("merged_reads", "c"),
    ("read_bytes", "c"),
    ("read_time", "c"),
    ("writes", "c"),
    ("merged_writes", "c"),
    ("write_bytes", "c"),
    ("write_time", "c"),
    ("iops_in_progress", "g"),
    ("io_time", "c"),
    ("weighted_io_time", "c"),
    ("io_util", "g"),
    ("io_await", "g"),
    ("io_svctm", "g"),
)
_SECTOR = 512  # the unit of /proc/diskstats, whatever the device's own sector is
_SKIP = ("loop", "ram", "zram", "fd", "sr")


def parse(diskstats: "str") -> "dict[str, list[float]]":
    """The first eleven of ``FIELDS`` for each line, keyed by device name. Memory and removable disks are left out."""
    disks = {}
    for line in diskstats.split("\n"):
        words = line.split()
        if len(words) < 14 or words[2].startswith(_SKIP):
            continue
        values = [float(word) for word in words[3:14]]
        values[2] *= _SECTOR
        values[6] *= _SECTOR
        disks[words[2]] = values
    return disks


def rates(before: "list[float]", after: "list[float]", seconds: "float") -> "list[float]":
    """``[io_util in per cent, io_await in ms, io_svctm in ms]`` between two readings; 0 when nothing was done."""
    if seconds <= 0:
        return [NAN, NAN, NAN]
    done = after[0] - before[0] + after[4] - before[4]
    waited = after[3] - before[3] + after[7] - before[7]
    busy = after[9] - before[9]
    if done < 0 or busy < 0:
        return [NAN, NAN, NAN]  # the device was replaced
    return [busy / (seconds * 10.0), waited / done if done else 0.0, busy / done if done else 0.0]


class DiskIoProbe:
    """I/O of every whole device."""

    measurement = "diskio"
    fields = FIELDS

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files
        self._whole: "dict[str, bool]" = {}
        self._base: "dict[str, list[float]]" = {}
        self._base_at = 0.0

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row per device. Raises OSError, ValueError."""
        disks = parse(self._files.text("proc/diskstats"))
        seconds = self._files.now - self._base_at
        rows = []
        for name, values in disks.items():
            if self._is_whole(name):
                before = self._base.get(name)
                extra = rates(before, values, seconds) if before else [NAN, NAN, NAN]
                rows.append(({"name": name}, values + extra))
        if tick:
            self._base, self._base_at = disks, self._files.now
        return rows

    def _is_whole(self, name: "str") -> "bool":
        whole = self._whole.get(name)
        if whole is None:  # partitions are not entries of /sys/block
            whole = self._whole[name] = os.path.exists(self._files.root + "sys/block/" + name.replace("/", "!"))
        return whole
