"""Alarm thresholds, alarms, channels, messages, policies."""

from typing import Annotated

from pydantic import Field

from mcisd.daemon.api.schemas.base import NAME, Labels, Model, Name
from mcisd.model.alarms import Aggregation, Comparison, PolicyAction, RuleLevel, Severity


class ThresholdBody(Model):
    """One alarm threshold: ``metric`` is measurement.field, e.g. cpu.usage_active, or ``nodata``."""

    name: Annotated[str, Field(pattern=NAME)] | None = None
    metric: Annotated[str, Field(pattern=r"^([a-z_0-9]+\.[A-Za-z_0-9]+|nodata)$")]
    tags: Labels = {}
    level: RuleLevel = RuleLevel.VM
    vm: Annotated[str, Field(max_length=80)] = ""
    comparison: Comparison = Comparison.GT
    threshold: float = 0.0
    recovery: float | None = None
    for_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    aggregation: Aggregation = Aggregation.LAST
    window_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    no_data_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    severity: Severity = Severity.WARNING
    labels: Labels = {}
    channels: Annotated[list[Name], Field(max_length=16)] = []
    enabled: bool = True


class ThresholdsRequest(Model):
    thresholds: Annotated[list[ThresholdBody], Field(max_length=200)]


class ThresholdsInfo(Model):
    thresholds: list[ThresholdBody]


class AlarmInfo(Model):
    rule: str
    infra_svc: str
    name_space: str
    subject: str
    severity: str
    phase: str
    since: float
    value: float | None
    threshold: float | None
    fired_at: float | None
    resolved_at: float | None
    episode: str


class ChannelRequest(Model):
    name: Name
    url: Annotated[str, Field(min_length=3, max_length=2048, description="an apprise URL; it is kept encrypted")]


class ChannelInfo(Model):
    name: str
    scheme: str
    created_at: float


class MessageInfo(Model):
    id: str
    channel: str
    kind: str
    title: str
    state: str
    attempts: int
    created_at: float
    sent_at: float | None
    error: str


class PolicyRequest(Model):
    """When alarm rule ``rule`` fires (or, left empty, a VM fails), do ``action`` within bounds."""

    name: Name
    rule: Annotated[str, Field(max_length=63)] = ""
    action: PolicyAction
    conn_config_name: Annotated[str, Field(max_length=63)] = ""
    spec_id: Annotated[str, Field(max_length=256)] = ""
    image_id: Annotated[str, Field(max_length=256)] = ""
    count: Annotated[int, Field(ge=1, le=100)] = 1
    command: Annotated[str, Field(max_length=65_536)] = ""
    cooldown_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    minimum: Annotated[int, Field(ge=0, le=10_000)] = 1
    maximum: Annotated[int, Field(ge=1, le=10_000)] = 100
    dry_run: bool = False
    enabled: bool = True


class PolicyInfo(PolicyRequest):
    last_run_at: float


class PolicyRunInfo(Model):
    policy: str
    time: float
    outcome: str
    reason: str
    operation: str
