"""What a panel wants to know in, Flux text out, with Grafana's macros and variables in it.

A series bears its last value of a window as ``field``, and ``field:sum``, ``:min``, ``:max``, ``:count`` beside it. An
average is made of sums and counts, so it is exact over any span, over several VMs, and in the buckets of minutes and
hours. Which bucket is asked follows from the time range that the user looks at.
"""

from collections.abc import Iterable, Sequence

DAY_NS, HOUR_NS = 86_400_000_000_000, 3_600_000_000_000
WINDOWS_DAYS, MINUTES_DAYS = 13, 89
"""How old the windows and the minutes may be that are asked for; their buckets keep them a day longer."""
WINDOWS_HOURS, MINUTES_HOURS = 6, 168
"""How long a span is drawn from windows, and from minutes."""
PERIOD = "v.windowPeriod"

BY_SPAN = f"""age = (int(v: now()) - int(v: v.timeRangeStart)) / {DAY_NS}
span = (int(v: v.timeRangeStop) - int(v: v.timeRangeStart)) / {HOUR_NS}
suffix = if age > {MINUTES_DAYS} or span > {MINUTES_HOURS} then "_1h"
    else if age > {WINDOWS_DAYS} or span > {WINDOWS_HOURS} then "_1m" else ""
"""
BY_AGE = f"""age = (int(v: now()) - int(v: v.timeRangeStop)) / {DAY_NS}
suffix = if age > {MINUTES_DAYS} then "_1h" else if age > {WINDOWS_DAYS} then "_1m" else ""
reach = if age > {MINUTES_DAYS} then 3h else if age > {WINDOWS_DAYS} then 4m else 90s
"""
IMPORTS = 'import "date"\n'
_SPLIT = """    |> map(fn: (r) => ({r with
        part: if strings.hasSuffix(v: r._field, suffix: ":sum") then "sum" else "count",
        _field: strings.trimSuffix(v: strings.trimSuffix(v: r._field, suffix: ":sum"), suffix: ":count"),
    }))"""


def equal(key: str, value: str) -> str:
    """A condition on one tag."""
    return f'r["{key}"] == "{value}"'


def chosen(*names: str) -> list[str]:
    """Conditions: each tag is one of the values chosen in the dashboard's variable of the same name."""
    return [f"r.{name} =~ /^${{{name}:regex}}$/" for name in names]


def mean(
    measurement: str, fields: Sequence[str], where: Iterable[str] = (), *, by: Sequence[str], merged: bool = False
) -> str:
    """The average of each series over time. ``merged``: of all series with the same values of the tags ``by``."""
    parts = [f"{field}:{part}" for field in fields for part in ("sum", "count")]
    return "\n".join(
        [
            IMPORTS + 'import "strings"\n',
            BY_SPAN + _over(measurement, parts, where),
            *([_group(_named(by))] if merged else []),  # first: grouping by time as well takes twenty times as long
            f"    |> aggregateWindow(every: {PERIOD}, fn: sum, createEmpty: false)",
            _SPLIT,
            _group(_named(by)),
            '    |> pivot(rowKey: ["_time"], columnKey: ["part"], valueColumn: "_value")',
            "    |> map(fn: (r) => ({r with _value: r.sum / r.count}))",
            _keep(["_time", "_value", *_named(by)]),
        ]
    )


def course(
    measurement: str,
    fields: Sequence[str],
    where: Iterable[str] = (),
    *,
    by: Sequence[str],
    step: str = "last",
    across: str = "",
    per_second: bool = False,
) -> str:
    """The stored values over time: of each window of the panel its ``step`` (last, max, …); of the series with the same
    values of ``by`` their ``across`` (sum, max), or each of its own. ``per_second``: how fast the counters grow."""
    lines = [
        BY_SPAN + _over(measurement, fields, where),
        f'    |> aggregateWindow(every: {PERIOD}, fn: {step}, createEmpty: false, timeSrc: "_start")',
    ]
    if per_second:
        lines.append("    |> derivative(unit: 1s, nonNegative: true)")
    lines.append(_group(_named(by)))
    if across:
        lines.append(f"    |> aggregateWindow(every: {PERIOD}, fn: {across}, createEmpty: false)")
    return "\n".join([*lines, _keep(["_time", "_value", *_named(by)])])


def newest(measurement: str, fields: Sequence[str], where: Iterable[str] = ()) -> str:
    """The newest value of each series that has one near the end of the time range. Begin the query with NEWEST."""
    lines = [
        "from(bucket: v.defaultBucket + suffix)",
        "    |> range(start: date.sub(d: reach, from: v.timeRangeStop), stop: v.timeRangeStop)",
        _filter(measurement, fields, where),
        "    |> last()",
    ]
    return "\n".join(lines)


NEWEST = IMPORTS + "\n" + BY_AGE


def one_number(query: str, function: str) -> str:
    """All series of ``newest`` as one number."""
    return "\n".join([NEWEST + query, "    |> group()", f"    |> {function}()", '    |> keep(columns: ["_value"])'])


def how_many(query: str) -> str:
    """How many VMs the series of ``newest`` are of."""
    lines = ["    |> group()", '    |> distinct(column: "vm")', "    |> count()", '    |> keep(columns: ["_value"])']
    return "\n".join([NEWEST + query, *lines])


def ranking(query: str, name: str, value: str, most: int = 10) -> str:
    """The greatest of ``newest``: a table of the Flux expression ``name`` and of the value, named ``value``."""
    lines = [
        "    |> group()",
        f"    |> top(n: {most})",
        f"    |> map(fn: (r) => ({{name: {name}, _value: r._value}}))",
        f'    |> rename(columns: {{_value: "{value}"}})',
    ]
    return "\n".join([NEWEST + query, *lines])


def table(columns: dict[str, str], row: Sequence[str]) -> str:
    """A table: a row for each combination of values of the tags ``row``, a column for each query of ``columns``."""
    parts = [
        f"part{number} = {query}\n    |> group(columns: [{_list([*row])}])\n"
        f'    |> {"sum" if title.startswith(SUMMED) else "max"}()\n    |> set(key: "column", value: "{title}")\n'
        for number, (title, query) in enumerate(columns.items())
    ]
    together = ", ".join(f"part{number}" for number in range(len(parts)))
    lines = [
        f"union(tables: [{together}])",
        "    |> group()",
        f'    |> pivot(rowKey: [{_list([*row])}], columnKey: ["column"], valueColumn: "_value")',
        f"    |> sort(columns: [{_list([*row])}])",
    ]
    return "\n".join([NEWEST, *parts, *lines])


SUMMED = ("net ", "disk read", "disk write")
"""Beginnings of columns that are the sum over a VM's devices; all others are the greatest of them."""


def values_of(tag: str, measurement: str, where: Iterable[str] = ()) -> str:
    """What a variable offers: the values of a tag."""
    fits = " and ".join([f'r._measurement == "{measurement}"', *where])
    return "\n".join(
        [
            'import "influxdata/influxdb/schema"',
            f'schema.tagValues(bucket: v.defaultBucket, tag: "{tag}", predicate: (r) => {fits}, start: -14d)',
        ]
    )


def _over(measurement: str, fields: Sequence[str], where: Iterable[str]) -> str:
    head = "from(bucket: v.defaultBucket + suffix)\n    |> range(start: v.timeRangeStart, stop: v.timeRangeStop)\n"
    return head + _filter(measurement, fields, where)


def _filter(measurement: str, fields: Sequence[str], where: Iterable[str]) -> str:
    either = " or ".join(f'r._field == "{field}"' for field in fields)
    every = " and ".join([f'r._measurement == "{measurement}"', *where])
    return f"    |> filter(fn: (r) => {every})\n    |> filter(fn: (r) => {either})"


def _named(by: Sequence[str]) -> list[str]:
    return ["_measurement", "_field", *by]


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _group(names: Sequence[str]) -> str:
    return f"    |> group(columns: [{_list(names)}])"


def _keep(names: Sequence[str]) -> str:
    return f"    |> keep(columns: [{_list(names)}])"
