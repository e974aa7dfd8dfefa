"""Processes by state: /proc/PID/stat of all processes in, measurement ``processes`` out.

Looking at every process is the dearest probe, so it looks every ten seconds and repeats its values in between.
"""

import os

from mcisd.agent.probes.base import ProcFiles

_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "blocked",
    "Z": "zombies",
    "X": "dead",
    "x": "dead",
    "T": "stopped",
    "t": "stopped",
    "W": "paging",
    "I": "idle",
}
_NAMES = ("running", "sleeping", "blocked", "zombies", "stopped", "idle", "dead", "paging", "unknown")
FIELDS = (*tuple((name, "g") for name in _NAMES), ("total", "g"), ("total_threads", "g"))
PERIOD = 10.0


def parse(stat: "str") -> "tuple[str, int]":
    """State name and number of threads of one /proc/PID/stat. Raises ValueError, IndexError if it is none."""
    words = stat[stat.rindex(")") + 2 :].split(None, 18)  # the name before it may hold anything, brackets too
    return _STATES.get(words[0], "unknown"), int(words[17])


def count(states: "list[tuple[str, int]]") -> "list[float]":
    """The values of ``FIELDS`` of all processes."""
    numbers = dict.fromkeys(_NAMES, 0.0)
    threads = 0
    for state, own in states:
        numbers[state] += 1.0
        threads += own
    return [numbers[name] for name in _NAMES] + [float(len(states)), float(threads)]


def stat_texts(root: "str") -> "list[tuple[int, str]]":
    """``(pid, text of its stat file)`` of every process under ``root``; those that just ended are left out."""
    texts = []
    base = root + "proc/"
    for name in os.listdir(base):
        if not name.isdigit():
            continue
        try:
            fd = os.open(base + name + "/stat", os.O_RDONLY)
        except OSError:
            continue  # ended since the listing
        try:
            texts.append((int(name), os.read(fd, 1024).decode("utf-8", "replace")))
        except OSError:
            continue  # ended since the open (ESRCH)
        finally:
            os.close(fd)
    return texts


class ProcessesProbe:
    """All processes of the machine."""

    measurement = "processes"
    fields = FIELDS

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files
        self._until = 0.0
        self._values: "list[float]" = []

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row, at most ten seconds old. Raises OSError, ValueError."""
        now = self._files.now
        if now >= self._until or not tick:
            self._values = count([parse(text) for _, text in stat_texts(self._files.root)])
            self._until = now + PERIOD - 0.1  # ticks jitter: do not miss one by a millisecond
        return [({}, self._values)]
