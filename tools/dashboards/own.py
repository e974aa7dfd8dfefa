"""The daemon's own metrics in the words of Flux. In: their declarations. Out: fields, tags and common queries."""

from collections.abc import Sequence

from mcisd.daemon.telemetry import DECLARED, MEASUREMENT
from mcisd.store.series.influx.names import encode_key
from tools.dashboards.flux import course, newest


def tag(metric: str, label: str) -> str:
    """The tag that a metric's label is stored as. KeyError where nothing such is declared."""
    if label not in DECLARED[metric].labels:
        raise KeyError(f"metric {metric} has no label {label}")
    return encode_key(label)


def latest(metric: str, *where: str) -> str:
    """The newest value of each series of a metric."""
    return newest(MEASUREMENT, [_known(metric)], where)


def over_time(
    metrics: Sequence[str] | str,
    *where: str,
    by: Sequence[str] = ("host",),
    across: str = "",
    per_second: bool = False,
    step: str = "last",
) -> str:
    """Metrics over time, by process or by other tags."""
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    fields = [_known(name) for name in names]
    return course(MEASUREMENT, fields, where, by=by, across=across, per_second=per_second, step=step)


def _known(metric: str) -> str:
    if metric not in DECLARED:
        raise KeyError(f"metric {metric} is not declared")
    return metric
