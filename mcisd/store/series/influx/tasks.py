"""The Flux tasks that fill the buckets of minutes and of hours from the windows as they come.

Each run computes a span of whole steps again, so that windows that came late count; writing a step again replaces it.
A minute holds the last of the last values, the sum of the sums, the least, the greatest and the sum of the counts: the
same statistics as a window, under the same names.
"""

from dataclasses import dataclass

from mcisd.store.series.influx.flux import literal
from mcisd.store.series.influx.names import CATALOGUE, SUFFIX
from mcisd.store.series.influx.options import InfluxOptions


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    flux: str


def wanted_tasks(options: InfluxOptions) -> list[Task]:
    """Both tasks. Minutes come from the windows of the last quarter of an hour, hours from the minutes of the last 26
    hours."""
    if not options.keep_downsampled:
        return []
    minutes = _task(options.bucket, options.minutes, step="1m", back="15m", offset="15s")
    hours = _task(options.minutes, options.hours, step="1h", back="26h", offset="2m")
    return [minutes, hours]


def _task(source: str, target: str, *, step: str, back: str, offset: str) -> Task:
    name = f"mcisd {target}"
    kinds = (
        ("last", f"!~ /{SUFFIX}/"),
        ("sum", "=~ /:(sum|count)$/"),
        ("min", "=~ /:min$/"),
        ("max", "=~ /:max$/"),
    )
    head = f"""import "date"

option task = {{name: {literal(name)}, every: {step}, offset: {offset}}}

stop = date.truncate(t: now(), unit: {step})
start = date.sub(d: {back}, from: stop)
data = () => from(bucket: {literal(source)})
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement != {literal(CATALOGUE)})
"""
    parts = [
        f"""
data()
    |> filter(fn: (r) => r._field {fits})
    |> aggregateWindow(every: {step}, fn: {function}, createEmpty: false, timeSrc: "_start")
    |> to(bucket: {literal(target)})
    |> yield(name: "{function}")
"""
        for function, fits in kinds
    ]
    return Task(name, head + "".join(parts))
