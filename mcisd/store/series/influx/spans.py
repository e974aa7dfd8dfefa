"""A question in, the buckets that answer it and their shares of its span out.

The windows as they come answer all they still hold, so that an answer is the same wherever it is asked. Only what lies
before their retention comes from the minutes, and what lies before theirs from the hours, and only for steps that are
made of whole minutes or hours: of others nothing is left.
"""

from dataclasses import dataclass

from mcisd.store.series.base import SeriesQuery
from mcisd.store.series.influx.options import InfluxOptions

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


@dataclass(frozen=True, slots=True)
class Span:
    """From one bucket, the windows that start in [start_ms, end_ms)."""

    bucket: str
    start_ms: int
    end_ms: int


def spans(query: SeriesQuery, options: InfluxOptions, now_ms: int) -> list[Span]:
    """In the order of time, without overlap. Minutes and hours that are only partly in the question are left out."""
    found: list[Span] = []
    end_ms, grain_ms = query.end_ms, 1
    for bucket, keeps_s, next_ms in _levels(options):
        horizon_ms = now_ms - 1000 * keeps_s if keeps_s else query.start_ms
        fits = next_ms and query.start_ms % next_ms == 0 and query.step_ms % next_ms == 0
        share_ms = query.start_ms
        if horizon_ms > query.start_ms and fits:
            unit_ms = query.step_ms or next_ms
            share_ms -= (query.start_ms - horizon_ms) // unit_ms * unit_ms  # rounded up to whole steps
        last_ms = end_ms - end_ms % grain_ms
        if share_ms < last_ms:
            found.append(Span(bucket, share_ms, last_ms))
        end_ms, grain_ms = min(end_ms, share_ms), next_ms
        if share_ms == query.start_ms:
            break
    return found[::-1]


def _levels(options: InfluxOptions) -> list[tuple[str, int, int]]:
    """Bucket, retention in seconds and the step in ms of the next coarser one (0: there is none), finest first."""
    if not options.keep_downsampled:
        return [(options.bucket, options.retention_s, 0)]
    return [
        (options.bucket, options.retention_s, MINUTE_MS),
        (options.minutes, options.buckets[options.minutes], HOUR_MS),
        (options.hours, options.buckets[options.hours], 0),
    ]
