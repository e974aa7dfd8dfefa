"""Reading measurements: the last values, a period with a step, what is measured right now, and the live feed."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mcisd.aio.queue import BoundedQueue
from mcisd.collectors.live import LiveFrame
from mcisd.daemon.mcis.rows import need_mcis, need_vm
from mcisd.model.errors import HostError, InputError
from mcisd.model.records import Vm
from mcisd.model.samples import Column, Schema
from mcisd.model.states import VmState
from mcisd.store.base import MetadataStore
from mcisd.store.series.base import STATISTICS, SeriesQuery, SeriesResult, SeriesStore

MAX_POINTS = 2_000_000
"""Points one answer may hold; more would only be decimated by whoever draws them."""
PULL_AT_ONCE = 64


class Live(Protocol):
    """The newest raw frames (collectors/live.py)."""

    def last(self, vm: str) -> LiveFrame | None: ...

    def subscribe(self, vms: Sequence[str]) -> BoundedQueue[LiveFrame]: ...

    def unsubscribe(self, feed: BoundedQueue[LiveFrame]) -> None: ...


class Pull(Protocol):
    """Measure now, on the VM (agents/remote.py)."""

    async def measure(self, vm: Vm, timeout: float = 5.0) -> tuple[Schema, int, NDArray[np.float64]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What to read; times in seconds since the epoch. Without start and end: the last values."""

    measurement: str = ""
    fields: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    statistic: str = "avg"
    start: float | None = None
    end: float | None = None
    step: float = 10.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What one VM measured on demand; ``error`` says why there is nothing."""

    vm: str
    time: float | None
    columns: tuple[Column, ...] = ()
    values: tuple[float | None, ...] = ()
    error: str = ""


@dataclass(slots=True)
class Monitoring:
    """Reads for one VM or for a whole MCIS."""

    store: MetadataStore
    series: SeriesStore
    live: Live
    pull: Pull

    async def vms(self, ns: str, infra: str, vm: str | None = None) -> list[Vm]:
        """The VMs meant; NotFoundError if there is no such MCIS or VM."""
        async with self.store.reading() as tx:
            mcis = await need_mcis(tx, ns, infra)
            if vm is not None:
                return [await need_vm(tx, mcis, vm)]
            return [row for row in await tx.find(Vm, mcis=mcis.uid, order="name") if not row.disposable]

    async def read(self, vms: list[Vm], period: Period, now: float) -> list[SeriesResult]:
        """The series asked for, with VM names instead of uids; gaps are absent."""
        names = {vm.uid: vm.name for vm in vms}
        if period.start is None and period.end is None:
            found = self._last(vms, period) or await self.series.last(list(names), period.measurement or None)
            found = [result for result in found if _fits(result.column, period)]
        else:
            found = await self.series.query(self._query(list(names), period, now))
        return [SeriesResult(names[r.vm], r.column, r.times_ms, r.values) for r in found]

    async def current(self, vms: list[Vm], timeout: float = 5.0) -> list[Measured]:
        """Measured now on each VM; one that cannot answer tells why."""
        gate = asyncio.Semaphore(PULL_AT_ONCE)

        async def one(vm: Vm) -> Measured:
            if vm.state is not VmState.RUNNING:
                return Measured(vm.name, None, error=f"{vm.name} is {vm.state}")
            try:
                async with gate:
                    schema, time_ms, values = await self.pull.measure(vm, timeout)
            except HostError as error:
                return Measured(vm.name, None, error=error.message)
            numbers = tuple(None if math.isnan(value) else value for value in values.tolist())
            return Measured(vm.name, time_ms / 1000, schema.columns, numbers)

        return list(await asyncio.gather(*(one(vm) for vm in vms)))

    def _last(self, vms: list[Vm], period: Period) -> list[SeriesResult]:
        """The newest raw frames, where this process has them for all the VMs; they are fresher than what is stored."""
        results = []
        for vm in vms:
            frame = self.live.last(vm.uid)
            if frame is None:
                return []
            for column, value in zip(frame.schema.columns, frame.values.tolist(), strict=True):
                if _fits(column, period) and not math.isnan(value):
                    at, one = np.array([frame.time_ms], np.int64), np.array([value])
                    results.append(SeriesResult(vm.uid, column, at, one))
        return results

    def _query(self, vms: list[str], period: Period, now: float) -> SeriesQuery:
        if not period.measurement:
            raise InputError("a period needs a measurement", field="measurement", remedy="give one, such as cpu or mem")
        if period.statistic not in STATISTICS:
            raise InputError(
                f"there is no statistic {period.statistic!r}",
                field="statistic",
                remedy=f"use one of {', '.join(STATISTICS)}",
            )
        end = period.end if period.end is not None else now
        start = period.start if period.start is not None else end - 3600.0
        if start >= end:
            raise InputError("start is not before end", field="start", remedy="swap them")
        if period.step < 0 or (period.step and (end - start) / period.step * len(vms) > MAX_POINTS):
            raise InputError(
                f"a step of {period.step} s gives too many points",
                field="step",
                remedy="use a larger step or fewer VMs",
            )
        step_ms, start_ms = int(period.step * 1000), int(start * 1000)
        # Steps lie on multiples of the step, so that two questions a second apart give the same steps.
        start_ms -= start_ms % step_ms if step_ms else 0
        return SeriesQuery(
            vms=vms, measurement=period.measurement, start_ms=start_ms, end_ms=int(end * 1000),
            step_ms=step_ms, statistic=period.statistic, fields=list(period.fields), tags=period.tags,
        )  # fmt: skip


def _fits(column: Column, period: Period) -> bool:
    return (
        period.measurement in ("", column.measurement)
        and (not period.fields or column.field in period.fields)
        and period.tags.items() <= dict(column.tags).items()
    )


def flat_values(frame: LiveFrame, wanted: Sequence[str]) -> dict[str, float]:
    """``measurement.field`` → one number per VM: cpu means cpu-total; net, diskio and disk are summed over their
    interfaces and devices, used_percent is the largest."""
    values: dict[str, float] = {}
    for column, value in zip(frame.schema.columns, frame.values.tolist(), strict=True):
        name = f"{column.measurement}.{column.field}"
        if name not in wanted or math.isnan(value):
            continue
        if column.measurement == "cpu" and dict(column.tags).get("cpu") != "cpu-total":
            continue
        if name not in values:
            values[name] = value
        elif column.field.endswith("percent"):
            values[name] = max(values[name], value)
        else:
            values[name] += value
    return values
