"""Load averages, number of CPUs and uptime: /proc/loadavg, /proc/uptime, /proc/stat in, measurement ``system`` out."""

from mcisd.agent.probes.base import ProcFiles


def parse(loadavg: "str", uptime: "str", stat: "str") -> "list[float]":
    """``[load1, load5, load15, n_cpus, uptime in whole seconds]``."""
    loads = [float(word) for word in loadavg.split()[:3]]
    return [*loads, float(stat.count("\ncpu")), float(int(float(uptime.split(None, 1)[0])))]


class LoadProbe:
    """Load of the whole machine."""

    measurement = "system"
    fields = (("load1", "g"), ("load5", "g"), ("load15", "g"), ("n_cpus", "g"), ("uptime", "g"))

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError."""
        files = self._files
        return [({}, parse(files.text("proc/loadavg"), files.text("proc/uptime"), files.text("proc/stat")))]
