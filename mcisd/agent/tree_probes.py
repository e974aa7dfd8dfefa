"""The metric groups of a VM that is a process tree: a ``Tree`` in, the measurements and fields of a whole machine out.

What a process tree cannot know is not there: no single cores, no inodes, no I/O counts, no packets.
"""

import math
import os
import time

from mcisd.agent.probes import processes
from mcisd.agent.probes.base import NAN, per_cent
from mcisd.agent.tree import Rising, bytes_under

MYPY = False
if MYPY:
    from mcisd.agent.probes.base import ProcFiles
    from mcisd.agent.probes.own import Stats
    from mcisd.agent.tree import Tree


class TreeLoad:
    """Load: the damped mean of runnable processes, as the kernel does it for a machine."""

    measurement = "system"
    fields = (("load1", "g"), ("load5", "g"), ("load15", "g"), ("n_cpus", "g"), ("uptime", "g"))

    def __init__(self, files: "ProcFiles", tree: "Tree") -> "None":
        self._files = files
        self._tree = tree
        self._loads = [0.0, 0.0, 0.0]
        self._at = files.now

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError."""
        own = os.getpid()  # the agent always runs while it looks
        active = sum(1 for one in self._tree.members() if one.state in "RD" and one.pid != own)
        loads = damped(self._loads, float(active), self._files.now - self._at)
        if tick:
            self._loads, self._at = loads, self._files.now
        vm = self._tree.vm
        return [({}, [*loads, float(vm.vcpus), float(int(max(0.0, time.time() - vm.booted_at)))])]


def damped(loads: "list[float]", active: "float", seconds: "float") -> "list[float]":
    """The 1, 5 and 15 minute loads after ``active`` processes ran for ``seconds``."""
    kept = [math.exp(-seconds / span) for span in (60.0, 300.0, 900.0)]
    return [active + (load - active) * kept[number] for number, load in enumerate(loads)]


class TreeCpu:
    """CPU use of the tree in per cent of the VM's virtual CPUs."""

    measurement = "cpu"
    fields = (("usage_user", "g"), ("usage_system", "g"), ("usage_idle", "g"), ("usage_active", "g"))

    def __init__(self, files: "ProcFiles", tree: "Tree") -> "None":
        self._files = files
        self._tree = tree
        self._user = Rising()
        self._system = Rising()
        self._base = (-1.0, 0.0, 0.0)  # at, user, system
        self._hertz = float(os.sysconf("SC_CLK_TCK"))

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row, NaN at the first tick. Raises OSError, ValueError."""
        members = self._tree.members()
        user = self._user.add(float(sum(one.user for one in members)))
        system = self._system.add(float(sum(one.system for one in members)))
        at, old_user, old_system = self._base
        seconds = self._files.now - at
        if tick:
            self._base = (self._files.now, user, system)
        if at < 0 or seconds <= 0:
            return [({"cpu": "cpu-total"}, [NAN] * 4)]
        room = seconds * self._hertz * self._tree.vm.vcpus
        return [({"cpu": "cpu-total"}, shares(user - old_user, system - old_system, room))]


def shares(user: "float", system: "float", room: "float") -> "list[float]":
    """User, system, idle and active in per cent of ``room``; more than 100 in all is cut down to 100."""
    whole = max(room, user + system)
    parts = [per_cent(user, whole), per_cent(system, whole)]
    return [*parts, max(0.0, 100.0 - parts[0] - parts[1]), parts[0] + parts[1]]


class TreeMem:
    """Memory: resident sets of the tree against the VM's size. Pages shared by two processes count twice."""

    measurement = "mem"
    fields = tuple((name, "g") for name in ("total", "available", "used", "free", "used_percent", "available_percent"))

    def __init__(self, tree: "Tree") -> "None":
        self._tree = tree
        self._page = os.sysconf("SC_PAGE_SIZE")

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError."""
        total = self._tree.vm.memory
        used = min(total, float(sum(one.pages for one in self._tree.members()) * self._page))
        free = total - used
        return [({}, [total, free, used, free, per_cent(used, total), per_cent(free, total)])]


class TreeSwap:
    """Swap: such a VM has none."""

    measurement = "swap"
    fields = (("total", "g"), ("used", "g"), ("free", "g"), ("used_percent", "g"), ("in", "c"), ("out", "c"))

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row of zeros."""
        return [({}, [0.0] * 6)]


class TreeDisk:
    """Disk: the files under the VM's home against its disk size; looked at once a minute."""

    measurement = "disk"
    fields = (("total", "g"), ("free", "g"), ("used", "g"), ("used_percent", "g"))

    def __init__(self, files: "ProcFiles", tree: "Tree") -> "None":
        self._files = files
        self._tree = tree
        self._used = 0.0
        self._until = -1.0

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row, at most a minute old."""
        vm = self._tree.vm
        if self._files.now >= self._until:
            self._used = min(vm.disk, float(bytes_under(vm.home)))
            self._until = self._files.now + 60.0
        tags = {"path": "/", "device": "local0", "fstype": "local", "mode": "rw"}
        return [(tags, [vm.disk, vm.disk - self._used, self._used, per_cent(self._used, vm.disk)])]


class TreeDiskIo:
    """Disk I/O: bytes the tree moved from and to devices since the agent started."""

    measurement = "diskio"
    fields = (("read_bytes", "c"), ("write_bytes", "c"))

    def __init__(self, tree: "Tree") -> "None":
        self._tree = tree
        self._got = Rising()
        self._put = Rising()

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError."""
        got, put = self._tree.io()
        return [({"name": "local0"}, [self._got.add(float(got)), self._put.add(float(put))])]


class TreeNet:
    """Network: the agent's own link, the only traffic of the VM it can tell from the machine's."""

    measurement = "net"
    fields = (("bytes_recv", "c"), ("bytes_sent", "c"))

    def __init__(self, stats: "Stats") -> "None":
        self._stats = stats

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row."""
        return [({"interface": "link0"}, [float(self._stats.received), float(self._stats.sent)])]


class TreeProcesses:
    """Processes of the tree by state."""

    measurement = "processes"
    fields = processes.FIELDS

    def __init__(self, tree: "Tree") -> "None":
        self._tree = tree

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError."""
        return [({}, processes.count([processes.parse(one.stat) for one in self._tree.members()]))]


class TreeKernel:
    """When the VM booted; the kernel below is not its own, so its counters are not told."""

    measurement = "kernel"
    fields = (("boot_time", "g"),)

    def __init__(self, tree: "Tree") -> "None":
        self._tree = tree

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row."""
        return [({}, [float(int(self._tree.vm.booted_at))])]
