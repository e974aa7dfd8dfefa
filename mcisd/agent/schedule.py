"""When to measure: wall clock in, next tick out. Each VM has its own phase, so that agents do not speak at once."""

import binascii


class Schedule:
    """Ticks at ``phase + n * interval`` of the wall clock, waited for on the monotonic clock."""

    def __init__(self, vm: "str", interval_ms: "int") -> "None":
        self._seed = binascii.crc32(vm.encode())
        self.set_interval(interval_ms)

    def set_interval(self, interval_ms: "int") -> "None":
        """Take another interval; the phase follows from the VM's name."""
        self.interval_ms = interval_ms
        self.phase_ms = self._seed % interval_ms

    def wait_ms(self, wall_ms: "float") -> "float":
        """Milliseconds from wall-clock time ``wall_ms`` to the next tick.

        A tick that fires a little early belongs to the slot it was meant for, so the next one is a whole interval on.
        """
        slot = (wall_ms - self.phase_ms + self.interval_ms / 8.0) // self.interval_ms
        return (slot + 1) * self.interval_ms + self.phase_ms - wall_ms

    def stamp(self, wall_ms: "float") -> "int":
        """The time a measuring round that began at wall-clock time ``wall_ms`` bears.

        The tick it was meant for, if it came close: then ticks lie exactly an interval apart, a window always holds
        the same number of them, and an alarm's "for 4 s" is two intervals of 2 s and not, by a millisecond, three.
        """
        slack = self.interval_ms / 8.0
        slot = (wall_ms - self.phase_ms + slack) // self.interval_ms
        meant = slot * self.interval_ms + self.phase_ms
        return int(meant) if wall_ms - meant <= slack else int(wall_ms)
