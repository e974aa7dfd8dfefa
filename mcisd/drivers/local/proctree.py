"""Process trees by /proc: list, freeze, thaw, kill. In: the pid of a root. Out: signals; nothing is left running.

Every orphan below a root is adopted by it (see vm_init.py), so the tree is complete by parent links alone.
"""

import contextlib
import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mcisd.aio.clock import Clock

_ROUND = 0.01
_DEAD = "ZXx"
_STILL = "Tt" + _DEAD


@dataclass(frozen=True, slots=True)
class Process:
    """One row of /proc; ``state`` is the kernel's letter, ``started`` in clock ticks since boot."""

    pid: int
    parent: int
    state: str
    started: int


def look(pid: int) -> Process | None:
    """The process of this pid, None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return Process(pid, int(fields[1]), fields[0], int(fields[19]))


def alive(pid: int, started: int) -> bool:
    """Whether this very process (not a later one with its pid) runs."""
    found = look(pid)
    return found is not None and found.started == started and found.state not in _DEAD


def descendants(root: int) -> list[Process]:
    """All below ``root``, without itself, zombies included."""
    children: dict[int, list[Process]] = defaultdict(list)
    for name in os.listdir("/proc"):  # noqa: PTH208 - Path objects for every process would double the time
        if name.isdigit() and (process := look(int(name))) is not None:
            children[process.parent].append(process)
    found, rest = [], [root]
    while rest:
        below = children.pop(rest.pop(), [])
        found += below
        rest += [process.pid for process in below]
    return found


async def freeze(root: int, clock: Clock, *, with_root: bool = True, limit: float = 5.0) -> bool:
    """Stop the whole tree, catching what is forked meanwhile; False if something would not stop in ``limit`` s."""
    deadline = clock.monotonic() + limit
    while clock.monotonic() < deadline:
        tree = descendants(root)
        if with_root and (own := look(root)) is not None:
            tree.append(own)
        moving = [process for process in tree if process.state not in _STILL]
        if not moving:
            return True
        for process in moving:
            send(process.pid, signal.SIGSTOP)
        await clock.sleep(_ROUND)
    return False


def thaw(root: int) -> None:
    """Let the whole tree go on."""
    for pid in [root, *(process.pid for process in descendants(root))]:
        send(pid, signal.SIGCONT)


async def kill(root: int, clock: Clock, limit: float = 5.0) -> bool:
    """Kill the whole tree, the root last (it holds the orphans); False if something is still there after ``limit`` s.

    Frozen first, so that nothing can fork faster than it is killed.
    """
    await freeze(root, clock, with_root=False, limit=limit)
    deadline = clock.monotonic() + limit
    while living := [process for process in descendants(root) if process.state not in _DEAD]:
        if clock.monotonic() > deadline:
            return False
        for process in living:
            send(process.pid, signal.SIGKILL)
        await clock.sleep(_ROUND)
    send(root, signal.SIGKILL)
    return True


def strays(mark: str, where: str) -> list[Process]:
    """Processes that carry ``mark`` in their environment or work below directory ``where``.

    Only for a tree that has lost its root, when parent links say nothing any more: a process that has changed both
    is not found.
    """
    ours = (path for path in Path("/proc").glob("[0-9]*") if _of(path, mark.encode(), where))
    found = (look(int(path.name)) for path in ours)
    return [process for process in found if process is not None and process.state not in _DEAD]


def _of(process: Path, mark: bytes, where: str) -> bool:
    try:
        folder = str((process / "cwd").readlink())
        return (folder + "/").startswith(where + "/") or mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it has ended, or is another user's


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
