"""Measurements, past and present."""

from mcisd.daemon.api.schemas.base import Model


class SeriesBody(Model):
    """One series of one VM; ``times`` in seconds since the epoch, gaps are absent."""

    vm: str
    measurement: str
    field: str
    tags: dict[str, str]
    kind: str
    times: list[float]
    values: list[float | None]


class MonitoringInfo(Model):
    statistic: str
    step_s: float
    start: float
    end: float
    series: list[SeriesBody]


class CurrentValue(Model):
    measurement: str
    field: str
    tags: dict[str, str]
    value: float | None


class CurrentMonitoring(Model):
    """Values measured now on the VM (pull); ``error`` where that failed."""

    vm: str
    time: float | None
    values: list[CurrentValue]
    error: str = ""


class CurrentMonitoringList(Model):
    vms: list[CurrentMonitoring]
