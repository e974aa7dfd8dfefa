"""The table of `mcis top`. In: live samples. Out: one row per VM with its newest values."""

from typing import TYPE_CHECKING

from mcisd.cli.render import number, rate, table
from mcisd.cli.session import Json

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("cpu.usage_active", "mem.used_percent", "system.load1", "net.bytes_recv", "net.bytes_sent")
_BYTES = COLUMNS[3:]


class LiveTable:
    """Newest sample per VM; network counters become rates between two samples of one VM."""

    def __init__(self, name: str, vms: list[Json]) -> None:
        self._name = name
        self._places = {vm["name"]: vm["region"] for vm in vms if vm["state"] == "Running"}
        self._rates: dict[str, dict[str, float]] = {}
        self.samples: dict[str, Json] = {}

    def take(self, sample: Json) -> None:
        vm = sample["vm"]
        before = self.samples.get(vm)
        if before is not None:
            self._rates[vm] = _between(before, sample)
        self.samples[vm] = sample

    @property
    def complete(self) -> bool:
        """Every running VM has sent a sample."""
        return set(self._places) <= set(self.samples)

    def table(self) -> "Table":
        names = sorted(set(self._places) | set(self.samples))
        heads = ("VM", "REGION", ">CPU %", ">MEM %", ">LOAD", ">NET IN", ">NET OUT")
        return table(heads, [self._row(name) for name in names])

    def _row(self, name: str) -> tuple[str, ...]:
        values = self.samples.get(name, {}).get("values", {})
        rates = self._rates.get(name, {})
        cpu, memory, load = (values.get(column) for column in COLUMNS[:3])
        return (
            name,
            self._places.get(name, ""),
            number(cpu),
            number(memory),
            number(load, 2),
            *(rate(rates.get(column)) for column in _BYTES),
        )


def _between(before: Json, now: Json) -> dict[str, float]:
    """Bytes per second between two samples; a counter that went back says nothing."""
    seconds = now["time"] - before["time"]
    found = {}
    for column in _BYTES:
        old, new = before["values"].get(column), now["values"].get(column)
        if seconds > 0 and old is not None and new is not None and new >= old:
            found[column] = (new - old) / seconds
    return found
