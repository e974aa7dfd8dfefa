"""Questions in, Flux out. Every value from outside is a string literal with all but plain characters escaped.

The shapes used here (filters by tag and field, then one of sum, min, max, last, by step) are those that InfluxDB
answers inside its storage engine, without handing each point to Flux.
"""

import re
from collections.abc import Sequence

from mcisd.model.errors import InputError
from mcisd.store.series.base import STATISTICS, SeriesQuery
from mcisd.store.series.influx.names import IDENTITY, SUFFIX, encode, encode_field, encode_key, encode_measurement
from mcisd.store.series.influx.spans import Span

_PLAIN = re.compile(rb"[A-Za-z0-9_.:/ -]")
DROPPED = sorted((IDENTITY - {"vm"}) | {"_start", "_stop"})
PARTS = {"avg": ("sum", "count"), "min": ("min",), "max": ("max",), "last": (), "count": ("count",)}
"""Which stored statistics a question needs; last is the field without a suffix."""
FUNCTION = {"avg": "sum", "min": "min", "max": "max", "last": "last", "count": "sum"}


def check(query: SeriesQuery) -> None:
    """InputError for a question that makes no sense."""
    if query.statistic not in PARTS:
        remedy = f"use one of {', '.join(STATISTICS)}"
        raise InputError(f"there is no statistic {query.statistic!r}", field="statistic", remedy=remedy)
    if query.step_ms < 0:
        raise InputError("step_ms is negative", field="step_ms", remedy="use 0 for one value over the whole span")


def literal(text: str) -> str:
    """A Flux string."""
    parts = (
        chr(byte) if _PLAIN.match(bytes((byte,))) else f"\\x{byte:02x}" for byte in text.encode("utf-8", "replace")
    )
    return f'"{"".join(parts)}"'


def time(at_ms: int) -> str:
    """A Flux time."""
    return f"time(v: {at_ms * 1_000_000})"


def steps(query: SeriesQuery, vms: Sequence[str], span: Span, every_ms: int) -> str:
    """The query for some of the VMs and some of the span, by steps of ``every_ms`` from the question's start."""
    suffixes = PARTS[query.statistic]
    lines = [
        _from(span.bucket, span.start_ms, span.end_ms),
        _filter([_equal("_measurement", encode_measurement(query.measurement))]),
        _filter([_equal("vm", encode(vm)) for vm in vms]),
        _fields(query.fields, suffixes),
        *(_filter([_equal(encode_key(key), encode(value))]) for key, value in sorted(query.tags.items())),
        _window(every_ms, query.start_ms % every_ms, FUNCTION[query.statistic]),
        _drop([*DROPPED, "_measurement"]),
    ]
    return "\n".join(lines)


def newest(bucket: str, vms: Sequence[str], measurement: str | None, start_ms: int, end_ms: int) -> str:
    """The newest last value of each series in the span."""
    lines = [_from(bucket, start_ms, end_ms)]
    if measurement is not None:
        lines.append(_filter([_equal("_measurement", encode_measurement(measurement))]))
    lines += [_filter([_equal("vm", encode(vm)) for vm in vms]), _fields([], ()), "|> last()", _drop(DROPPED)]
    return "\n".join(lines)


def catalogue(bucket: str, measurement: str, start_ms: int, end_ms: int) -> str:
    """All entries of the catalogue of kinds."""
    lines = [_from(bucket, start_ms, end_ms), _filter([_equal("_measurement", measurement)]), "|> last()"]
    return "\n".join([*lines, _drop(["_start", "_stop"])])


def _from(bucket: str, start_ms: int, end_ms: int) -> str:
    return f"from(bucket: {literal(bucket)})\n|> range(start: {time(start_ms)}, stop: {time(end_ms)})"


def _equal(name: str, value: str) -> str:
    return f"r[{literal(name)}] == {literal(value)}"


def _filter(either: Sequence[str]) -> str:
    return f"|> filter(fn: (r) => {_any(either)})"


def _any(either: Sequence[str]) -> str:
    """A tree, as Flux does not take a long chain ("nested too deep")."""
    if len(either) <= 8:
        return " or ".join(either)
    middle = len(either) // 2
    return f"({_any(either[:middle])}) or ({_any(either[middle:])})"


def _fields(fields: Sequence[str], suffixes: Sequence[str]) -> str:
    names = [encode_field(name) for name in dict.fromkeys(fields)]
    if names:
        stored = [f"{name}:{suffix}" for name in names for suffix in suffixes] if suffixes else names
        return _filter([_equal("_field", name) for name in stored])
    if suffixes:
        return f"|> filter(fn: (r) => r._field =~ /:({'|'.join(suffixes)})$/)"
    return f"|> filter(fn: (r) => r._field !~ /{SUFFIX}/)"


def _window(every_ms: int, offset_ms: int, function: str) -> str:
    options = f"every: {every_ms}ms, offset: {offset_ms}ms, fn: {function}"
    return f'|> aggregateWindow({options}, createEmpty: false, timeSrc: "_start")'


def _drop(names: Sequence[str]) -> str:
    return f"|> drop(columns: [{', '.join(literal(name) for name in names)}])"
