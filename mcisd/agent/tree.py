"""A process tree as if it were a machine: /proc/PID/stat and /proc/PID/io of a root process and all below it.

CPU time and I/O of a process that ends move to the parent that reaps it, so the sums over the tree keep growing. What
init reaped for someone else counts too, as long as init is the subreaper of its tree.
"""

import os

from mcisd.agent.probes.processes import stat_texts
from mcisd.model import wire

MYPY = False
if MYPY:
    from mcisd.agent.probes.base import ProcFiles

PATIENCE = 5  # readings a sum may stay below its peak before the lower value is believed


class LocalVm:
    """What a VM of the local cloud is, as its description file tells."""

    def __init__(self, body: "dict[str, object]") -> "None":
        """Raises KeyError, ValueError if a needed field is missing or no number."""
        self.init_pid = int(str(body["init_pid"]))
        self.vcpus = max(1, int(str(body["vcpus"])))
        self.memory = float(str(body["memory_mib"])) * 1048576.0  # bytes
        self.disk = float(str(body["disk_gib"])) * 1073741824.0  # bytes
        self.home = str(body["home"])
        self.booted_at = float(str(body["booted_at"]))  # epoch seconds


def load_vm(path: "str") -> "LocalVm":
    """Read the description file. Raises OSError, ValueError, KeyError."""
    with open(path, "rb") as file:
        body = wire.from_json(file.read().decode())
    if not isinstance(body, dict):
        raise ValueError("%s: not a JSON object" % path)
    return LocalVm(body)


class Member:
    """One process of the tree; times in clock ticks, reaped children included."""

    def __init__(self, pid: "int", stat: "str") -> "None":
        """Raises ValueError, IndexError if ``stat`` is not the text of a stat file."""
        words = stat[stat.rindex(")") + 2 :].split(None, 22)
        self.pid = pid
        self.stat = stat
        self.state = words[0]
        self.parent = int(words[1])
        self.user = int(words[11]) + int(words[13])
        self.system = int(words[12]) + int(words[14])
        self.pages = max(0, int(words[21]))


def descendants(members: "list[Member]", root: "int") -> "list[Member]":
    """The member with pid ``root`` and all below it. Raises ValueError if it is not there."""
    children: "dict[int, list[Member]]" = {}
    found = []
    for member in members:
        children.setdefault(member.parent, []).append(member)
        if member.pid == root:
            found.append(member)
    if not found:
        raise ValueError("process %d is not there" % root)
    for member in found:  # grows while it is walked
        found += children.get(member.pid, [])
    return found


def parse_io(text: "str") -> "tuple[int, int]":
    """Bytes read and written on devices, of one /proc/PID/io."""
    table = dict(line.split(": ", 1) for line in text.split("\n") if ": " in line)
    return int(table["read_bytes"]), int(table["write_bytes"])


class Rising:
    """A sum that should only grow: small steps back are held, a lasting one restarts it without counting it."""

    def __init__(self) -> "None":
        self.total = 0.0
        self._peak = 0.0
        self._below = 0
        self._begun = False

    def add(self, reading: "float") -> "float":
        """Take in a reading and give the total risen since the first one."""
        if not self._begun:
            self._begun, self._peak = True, reading
        self._below = self._below + 1 if reading < self._peak else 0
        if self._below > PATIENCE:
            self._peak, self._below = reading, 0
        if reading > self._peak:
            self.total += reading - self._peak
            self._peak = reading
        return self.total


class Tree:
    """The process tree of one VM, read at most once per round."""

    def __init__(self, files: "ProcFiles", vm: "LocalVm") -> "None":
        self.vm = vm
        self._files = files
        self._read_at = -1.0
        self._members: "list[Member]" = []

    def members(self) -> "list[Member]":
        """All processes of the tree now. Raises OSError, ValueError."""
        if self._read_at != self._files.now:
            everyone = [Member(pid, text) for pid, text in stat_texts(self._files.root)]
            self._members = descendants(everyone, self.vm.init_pid)
            self._read_at = self._files.now
        return self._members

    def io(self) -> "tuple[int, int]":
        """Bytes read and written by the tree. Raises OSError, ValueError."""
        got = put = 0
        for member in self.members():
            try:
                one = parse_io(self._files.once("proc/%d/io" % member.pid))
            except (OSError, KeyError):
                continue  # ended since, or of another user: not counted
            got, put = got + one[0], put + one[1]
        return got, put


def bytes_under(folder: "str", most: "int" = 20000) -> "int":
    """Bytes of disk taken by the files under ``folder``; it stops after ``most`` entries, not to hold up a round."""
    total = 0
    folders = [folder]
    while folders and most > 0:
        here = folders.pop()
        try:
            names = os.listdir(here)
        except OSError:
            continue  # removed since, or not ours to read
        most -= len(names) + 1
        for name in names:
            path = os.path.join(here, name)
            try:
                state = os.lstat(path)
            except OSError:
                continue  # removed since
            total += state.st_blocks * 512
            if state.st_mode & 0o170000 == 0o040000:
                folders.append(path)
    return total
