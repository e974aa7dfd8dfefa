"""Measurements: last values, periods, on demand, live."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from aiohttp import web
from pydantic import Field

from mcisd.daemon.api import views
from mcisd.daemon.api.routing import Call, Route
from mcisd.daemon.api.schemas.base import Model
from mcisd.daemon.api.schemas.monitoring import CurrentMonitoring, CurrentMonitoringList, MonitoringInfo
from mcisd.daemon.api.streams import Item
from mcisd.daemon.monitoring import Period, flat_values
from mcisd.model.records import Vm

DEFAULT_COLUMNS = "cpu.usage_active,mem.used_percent,system.load1,net.bytes_recv_rate,net.bytes_sent_rate"
LATEST = 1e11
"""Seconds since the epoch that no clock will show; beyond it times in milliseconds are not exact any more."""


class MonitoringQuery(Model):
    """Without start and end: the last values. ``tag.NAME=VALUE`` parameters choose series by their tags."""

    measurement: Annotated[str, Field(max_length=128)] = ""
    fields: Annotated[str, Field(max_length=4096, description="comma list; empty means all")] = ""
    statistic: Annotated[str, Field(description="avg, min, max, last or count")] = "avg"
    start: Annotated[float | None, Field(ge=0, le=LATEST, description="seconds since the epoch")] = None
    end: Annotated[float | None, Field(ge=0, le=LATEST, description="seconds since the epoch")] = None
    step: Annotated[float, Field(ge=0, le=LATEST, description="seconds; 0 for one value over the whole period")] = 10.0
    tags: Annotated[dict[str, str], Field(default_factory=dict, description="given as tag.NAME=VALUE")]


class LiveQuery(Model):
    columns: Annotated[str, Field(max_length=4096, description="comma list of measurement.field")] = DEFAULT_COLUMNS


async def infra_monitoring(call: Call) -> MonitoringInfo:
    vms = await call.services.monitoring.vms(call.path["ns"], call.path["infra"])
    return await _read(call, vms)


async def vm_monitoring(call: Call) -> MonitoringInfo:
    vms = await call.services.monitoring.vms(call.path["ns"], call.path["infra"], call.path["vm"])
    return await _read(call, vms)


async def _read(call: Call, vms: list[Vm]) -> MonitoringInfo:
    query = call.query_as(MonitoringQuery)
    now = call.services.clock.now()
    period = Period(
        measurement=query.measurement,
        fields=tuple(part for part in query.fields.split(",") if part),
        tags=query.tags,
        statistic=query.statistic,
        start=query.start,
        end=query.end,
        step=query.step,
    )
    found = await call.services.monitoring.read(vms, period, now)
    end = query.end if query.end is not None else now
    return MonitoringInfo(
        statistic=query.statistic,
        step_s=query.step,
        start=query.start if query.start is not None else end - 3600.0,
        end=end,
        series=[views.series(result) for result in found],
    )


async def infra_current(call: Call) -> CurrentMonitoringList:
    vms = await call.services.monitoring.vms(call.path["ns"], call.path["infra"])
    return CurrentMonitoringList(vms=[views.measured(one) for one in await call.services.monitoring.current(vms)])


async def vm_current(call: Call) -> CurrentMonitoring:
    vms = await call.services.monitoring.vms(call.path["ns"], call.path["infra"], call.path["vm"])
    return views.measured((await call.services.monitoring.current(vms))[0])


async def infra_live(call: Call) -> web.StreamResponse:
    columns = tuple(part for part in call.query_as(LiveQuery).columns.split(",") if part)
    vms = await call.services.monitoring.vms(call.path["ns"], call.path["infra"])
    return await call.services.streams.serve(call.request, _samples(call, {vm.uid: vm.name for vm in vms}, columns))


async def _samples(call: Call, names: dict[str, str], columns: tuple[str, ...]) -> AsyncIterator[Item]:
    live = call.services.monitoring.live
    feed = live.subscribe(list(names))
    try:
        async for frame in feed:
            values = {key: round(value, 6) for key, value in flat_values(frame, columns).items()}
            yield Item("sample", {"vm": names[frame.vm], "time": frame.time_ms / 1000, "values": values})
    finally:
        live.unsubscribe(feed)


Handler = Callable[[Call], Awaitable[object]]
INFRA = "/ns/{ns}/infra/{infra}/monitoring"
VM = "/ns/{ns}/infra/{infra}/vms/{vm}/monitoring"


def _reading(path: str, operation: str, summary: str, handler: Handler) -> Route:
    return Route("GET", path, operation, summary, handler, query=MonitoringQuery, result=MonitoringInfo)


ROUTES = [
    _reading(INFRA, "GetInfraSvcMonitoringInfo", "Last values or a period, all VMs", infra_monitoring),
    _reading(VM, "GetVMMonitoringInfo", "Last values or a period, one VM", vm_monitoring),
    Route(
        "GET",
        f"{INFRA}/current",
        "GetCurrentInfraSvcMonitoringInfo",
        "Measured now on every VM",
        infra_current,
        result=CurrentMonitoringList,
    ),
    Route(
        "GET",
        f"{VM}/current",
        "GetCurrentVMMonitoringInfo",
        "Measured now on one VM",
        vm_current,
        result=CurrentMonitoring,
    ),
    Route(
        "GET",
        f"{INFRA}/live",
        "StreamInfraSvcMonitoring",
        "Every tick of every VM as it arrives (server-sent events)",
        infra_live,
        query=LiveQuery,
        stream=True,
    ),
]
