"""One measuring round: all probes in, one row of floats and its schema out. A failing probe never stops the others."""

import binascii

from mcisd.agent.probes.base import NAN, ProcFiles
from mcisd.model import wire

MYPY = False
if MYPY:
    from mcisd.agent.probes.base import Probe
    from mcisd.agent.probes.own import Stats


class Schema:
    """The meaning of a frame's columns. The id is made from the columns, so it is the same after a restart."""

    def __init__(self, columns: "list[list[object]]") -> "None":
        text = wire.to_json(columns, sort_keys=True)
        self.id = binascii.crc32(text.encode())
        self.message = wire.pack_json(wire.SCHEMA, {"id": self.id, "columns": columns})
        self.width = len(columns)


class Gatherer:
    """Runs the probes of one scope. ``schema`` is that of the last round."""

    def __init__(self, files: "ProcFiles", probes: "list[Probe]", stats: "Stats") -> "None":
        self.schema = Schema([])
        self._files = files
        self._probes = probes
        self._stats = stats
        self._shapes: "list[list[dict[str, str]]]" = [[] for _ in probes]

    def gather(self, now: "float", tick: "bool") -> "list[float]":
        """Measure everything at monotonic second ``now``; a ``tick`` is a regular round, else it is on demand."""
        self._files.start(now)
        values: "list[float]" = []
        changed = self.schema.width == 0
        for number, probe in enumerate(self._probes):
            shape = self._shapes[number]
            try:
                rows = probe.read(tick)
            except (OSError, ValueError, KeyError, IndexError):
                self._stats.gather_errors += 1
                rows = [(tags, [NAN] * len(probe.fields)) for tags in shape]
            tags = [row[0] for row in rows]
            if tags != shape:
                self._shapes[number] = tags
                changed = True
            for row in rows:
                values.extend(row[1])
        if changed:
            self.schema = Schema(self._columns())
        return values

    def _columns(self) -> "list[list[object]]":
        columns: "list[list[object]]" = []
        for number, probe in enumerate(self._probes):
            for tags in self._shapes[number]:
                columns += [[probe.measurement, field, tags, kind] for field, kind in probe.fields]
        return columns
