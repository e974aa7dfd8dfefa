"""Network interfaces: /proc/net/dev in, measurement ``net`` out (counters; ``speed`` in Mbit/s, -1 unknown).

Loopback is left out, and so are the host ends of container links (``veth*``), which come and go all day.
"""

from mcisd.agent.probes.base import ProcFiles

FIELDS = (
    ("bytes_recv", "c"),
    ("packets_recv", "c"),
    ("err_in", "c"),
    ("drop_in", "c"),
    ("bytes_sent", "c"),
    ("packets_sent", "c"),
    ("err_out", "c"),
    ("drop_out", "c"),
    ("speed", "g"),
)


def parse(dev: "str") -> "dict[str, list[float]]":
    """All of ``FIELDS`` but speed, keyed by interface."""
    links = {}
    for line in dev.split("\n")[2:]:
        name, colon, rest = line.rpartition(":")
        name = name.strip()
        if not colon or name == "lo" or name.startswith("veth"):
            continue
        words = rest.split()
        links[name] = [float(word) for word in words[0:4] + words[8:12]]
    return links


class NetProbe:
    """Traffic of every interface."""

    measurement = "net"
    fields = FIELDS

    def __init__(self, files: "ProcFiles") -> "None":
        self._files = files
        self._speeds: "dict[str, float]" = {}
        self._speeds_until = 0.0

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row per interface. Raises OSError, ValueError."""
        if self._files.now >= self._speeds_until:
            self._speeds_until = self._files.now + 60.0  # asking a card is slow and the answer seldom changes
            self._speeds.clear()
        links = parse(self._files.text("proc/net/dev"))
        return [({"interface": name}, [*values, self._speed(name)]) for name, values in links.items()]

    def _speed(self, name: "str") -> "float":
        speed = self._speeds.get(name)
        if speed is None:
            try:
                speed = float(self._files.once("sys/class/net/%s/speed" % name))
            except (OSError, ValueError):
                speed = -1.0  # virtual cards and those without a link refuse to tell
            self._speeds[name] = speed
        return speed
