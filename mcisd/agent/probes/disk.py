"""File systems: /proc/self/mountinfo and statvfs in, measurement ``disk`` out (bytes, inodes, per cent).

Network, FUSE and pseudo file systems are skipped: a dead server there would hang the call, and with it the agent.
A device mounted several times is measured once, at the place mounted first.
"""

import os

from mcisd.agent.probes.base import ProcFiles, per_cent

FIELDS = tuple(
    (name, "g")
    for name in (
        "total",
        "free",
        "used",
        "used_percent",
        "inodes_total",
        "inodes_free",
        "inodes_used",
        "inodes_used_percent",
    )
)
_LOCAL = ("zfs", "btrfs", "bcachefs")  # named by pool or label instead of by device file
_NEVER = ("squashfs", "iso9660", "udf", "erofs", "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "virtiofs")


def parse(mountinfo: "str") -> "list[dict[str, str]]":
    """Tags (path, device, fstype, mode) of each mount worth measuring."""
    mounts = []
    seen = set()
    for line in mountinfo.split("\n"):
        words = line.split(" ")
        if "-" not in words:
            continue
        dash = words.index("-")
        path, fstype, source = _plain(words[4]), words[dash + 1], words[dash + 2]
        if words[2] in seen or not _wanted(path, fstype, source):
            continue
        seen.add(words[2])
        device = source[5:] if source.startswith("/dev/") else source
        mode = "ro" if "ro" in words[5].split(",") else "rw"
        mounts.append({"path": path, "device": _plain(device), "fstype": fstype, "mode": mode})
    return mounts


def _wanted(path: "str", fstype: "str", source: "str") -> "bool":
    if fstype in _NEVER or (fstype.startswith("fuse") and fstype != "fuseblk"):
        return False
    if fstype == "overlay":
        return path == "/"  # the root of a container; other overlays are images of containers
    return source.startswith("/dev/") or fstype in _LOCAL


def _plain(word: "str") -> "str":
    """Undo the kernel's octal escapes."""
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(code, sign)
    return word


def figures(blocks: "int", blocks_free: "int", usable: "int", size: "int", inodes: "int", idle: "int") -> "list[float]":
    """The values of ``FIELDS`` from statvfs: blocks of ``size`` bytes, of them free and usable by anyone, inodes."""
    used, free = (blocks - blocks_free) * size, usable * size
    taken = inodes - idle
    space = [float(blocks * size), float(free), float(used), per_cent(used, used + free)]
    return [*space, float(inodes), float(idle), float(taken), per_cent(taken, inodes)]


class DiskProbe:
    """Space and inodes of every local file system."""

    measurement = "disk"
    fields = FIELDS

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files
        self._text = ""
        self._mounts: "list[dict[str, str]]" = []

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row per file system. Raises OSError, ValueError."""
        text = self._files.text("proc/self/mountinfo")
        if text != self._text:
            self._mounts = parse(text)
            self._text = text
        rows = []
        for tags in self._mounts:
            try:
                state = os.statvfs(tags["path"])
            except OSError:
                continue  # mounted where we may not look, or just unmounted: no row, the others still count
            if state.f_blocks:
                numbers = (state.f_blocks, state.f_bfree, state.f_bavail, state.f_frsize, state.f_files, state.f_ffree)
                rows.append((tags, figures(*numbers)))
        return rows
