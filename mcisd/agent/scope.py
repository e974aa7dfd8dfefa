"""What the agent measures: the whole machine, or the process tree that is a VM of the local cloud.

The environment variable ``MCISD_LOCAL_VM`` names the description file of such a VM; without it it is the machine.
"""

from mcisd.agent.probes.base import ProcFiles
from mcisd.agent.probes.own import OwnProbe, Stats

MYPY = False
if MYPY:
    from mcisd.agent.probes.base import Probe

VARIABLE = "MCISD_LOCAL_VM"


def probes(environment: "dict[str, str]", files: "ProcFiles", stats: "Stats") -> "list[Probe]":
    """The probes of the scope that ``environment`` chooses. Raises OSError, ValueError, KeyError for a bad file."""
    path = environment.get(VARIABLE)
    chosen = _tree(path, files, stats) if path else _host(files)
    return [*chosen, OwnProbe(files, stats)]


def _host(files: "ProcFiles") -> "list[Probe]":
    from mcisd.agent.probes import cpu, disk, diskio, kernel, load, mem, net, processes, swap

    return [
        load.LoadProbe(files),
        cpu.CpuProbe(files),
        mem.MemProbe(files),
        swap.SwapProbe(files),
        disk.DiskProbe(files),
        diskio.DiskIoProbe(files),
        net.NetProbe(files),
        processes.ProcessesProbe(files),
        kernel.KernelProbe(files),
    ]


def _tree(path: "str", files: "ProcFiles", stats: "Stats") -> "list[Probe]":
    from mcisd.agent import tree_probes as own  # only here: a real machine need not load it
    from mcisd.agent.tree import Tree, load_vm

    tree = Tree(files, load_vm(path))
    return [
        own.TreeLoad(files, tree),
        own.TreeCpu(files, tree),
        own.TreeMem(tree),
        own.TreeSwap(),
        own.TreeDisk(files, tree),
        own.TreeDiskIo(tree),
        own.TreeNet(stats),
        own.TreeProcesses(tree),
        own.TreeKernel(tree),
    ]
