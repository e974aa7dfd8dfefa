"""Kernel counters: /proc/stat in, measurement ``kernel`` out."""

from mcisd.agent.probes.base import NAN, ProcFiles

FIELDS = (("boot_time", "g"), ("context_switches", "c"), ("interrupts", "c"), ("processes_forked", "c"))
_LINES = ("\nbtime ", "\nctxt ", "\nintr ", "\nprocesses ")


def parse(stat: "str") -> "list[float]":
    """The values of ``FIELDS``: boot time in epoch seconds and three counts since then."""
    values = []
    for line in _LINES:
        at = stat.find(line) + len(line)
        end = at
        while stat[end : end + 1].isdigit():
            end += 1
        values.append(float(stat[at:end]) if end > at >= len(line) else NAN)
    return values


class KernelProbe:
    """Counters of the running kernel."""

    measurement = "kernel"
    fields = FIELDS

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError."""
        return [({}, parse(self._files.text("proc/stat")))]
