"""CPU use in per cent, total and per core: two readings of /proc/stat in, measurement ``cpu`` out.

As in Telegraf: guest time is taken out of user and nice, and I/O wait counts as active (active = all but idle).
"""

from mcisd.agent.probes.base import NAN, ProcFiles

NAMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
FIELDS = (*tuple(("usage_" + name, "g") for name in NAMES), ("usage_active", "g"))


def parse(stat: "str") -> "dict[str, list[int]]":
    """Ticks of each CPU in the order of ``NAMES``, keyed ``cpu-total``, ``cpu0``, …; what an old kernel lacks is 0."""
    cpus = {}
    for line in stat.split("\n"):
        if not line.startswith("cpu"):
            break  # the cpu lines are the first ones; do not walk the long interrupt line
        words = line.split()
        ticks = [int(word) for word in words[1:11]]
        cpus["cpu-total" if words[0] == "cpu" else words[0]] = ticks + [0] * (10 - len(ticks))
    return cpus


def usage(before: "list[int]", after: "list[int]") -> "list[float]":
    """The values of ``FIELDS`` between two readings; NaN if no time has passed."""
    # A counter may step back a little (iowait does): that is no time, not negative time.
    user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice = (
        max(0, after[number] - before[number]) for number in range(len(NAMES))
    )
    whole = user + nice + system + idle + iowait + irq + softirq + steal
    if not whole:
        return [NAN] * len(FIELDS)
    parts = [max(0, user - guest), max(0, nice - guest_nice), system, idle, iowait, irq, softirq, steal]
    parts += [guest, guest_nice, whole - idle]
    return [100.0 * part / whole for part in parts]


class CpuProbe:
    """CPU use of the whole machine since the last tick."""

    measurement = "cpu"
    fields = FIELDS

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files
        self._base: "dict[str, list[int]]" = {}

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row per CPU and one for all; NaN at the first tick. Raises OSError, ValueError."""
        cpus = parse(self._files.text("proc/stat"))
        base = self._base
        rows = [({"cpu": name}, usage(base.get(name, ticks), ticks)) for name, ticks in cpus.items()]
        if tick:
            self._base = cpus
        return rows
