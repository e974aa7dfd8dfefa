"""Alarm and policy nouns: rules, states, messages, channels, policies."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from mcisd.model.records import Record


class Comparison(StrEnum):
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="


class Aggregation(StrEnum):
    """How the samples of ``window_s`` (0: the newest only), and for an MCIS rule the VMs, become one value."""

    LAST = "last"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class RuleLevel(StrEnum):
    """One state per VM, or one for the whole MCIS."""

    VM = "vm"
    MCIS = "infra"


class AlarmPhase(StrEnum):
    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"


class MessageKind(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class MessageState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule(Record):
    """When is something wrong.

    The condition is ``aggregation(measurement.field_name{tags} over window_s) comparison threshold`` held for ``for_s``
    seconds of event time; it recovers when ``recovery`` (default: the threshold) is passed the other way.
    With ``no_data_s`` > 0 the rule is a no-data rule: it fires when a VM that should report (goal Running, agent was
    up) has sent nothing for that long; threshold and comparison are then not used.
    """

    table: ClassVar[str] = "alarm_rule"
    columns: ClassVar[tuple[str, ...]] = ("ns", "mcis", "name", "enabled")
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("ns", "mcis", "name"),)

    ns: str
    mcis: str
    name: str
    level: RuleLevel = RuleLevel.VM
    vm: str = ""
    measurement: str = ""
    field_name: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    aggregation: Aggregation = Aggregation.LAST
    window_s: float = 0.0
    comparison: Comparison = Comparison.GT
    threshold: float = 0.0
    recovery: float | None = None
    for_s: float = 0.0
    no_data_s: float = 0.0
    severity: Severity = Severity.WARNING
    labels: dict[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmState(Record):
    """Where one rule stands for one subject (VM uid, or MCIS uid). ``uid`` is ``rule:subject``.

    ``episode`` names one stay in FIRING; messages carry it, so each is made once.
    """

    table: ClassVar[str] = "alarm_state"
    columns: ClassVar[tuple[str, ...]] = ("rule", "subject", "phase", "ns", "mcis")

    rule: str
    subject: str
    ns: str
    mcis: str
    subject_name: str = ""
    phase: AlarmPhase = AlarmPhase.OK
    since: float = 0.0
    value: float | None = None
    episode: str = ""
    fired_at: float | None = None
    resolved_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Record):
    """One message to one channel: the outbox row of the notifier. ``uid`` is ``episode:kind:channel``."""

    table: ClassVar[str] = "alarm_message"
    columns: ClassVar[tuple[str, ...]] = ("state", "channel", "rule")

    channel: str
    rule: str
    kind: MessageKind
    title: str
    body: str
    state: MessageState = MessageState.QUEUED
    attempts: int = 0
    next_try_at: float = 0.0
    sent_at: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel(Record):
    """Where messages go: an apprise URL, sealed because it holds secrets; ``scheme`` is its visible part."""

    table: ClassVar[str] = "channel"
    columns: ClassVar[tuple[str, ...]] = ("name",)
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("name",),)

    name: str
    scheme: str
    sealed: str = field(default="", repr=False)


class PolicyAction(StrEnum):
    SCALE_OUT = "scaleOut"
    SCALE_IN = "scaleIn"
    REPLACE = "replace"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Record):
    """Condition → action on one MCIS.

    The condition is an alarm rule of that MCIS that fires (``rule``), or, with ``rule`` empty, a VM that has failed.
    ``minimum`` and ``maximum`` bound the number of VMs not terminated; ``cooldown_s`` is the least time between runs.
    """

    table: ClassVar[str] = "policy"
    columns: ClassVar[tuple[str, ...]] = ("ns", "mcis", "name", "enabled")
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("ns", "mcis", "name"),)

    ns: str
    mcis: str
    name: str
    rule: str = ""
    action: PolicyAction = PolicyAction.SCALE_OUT
    connection: str = ""
    spec: str = ""
    image: str = ""
    count: int = 1
    command: str = ""
    cooldown_s: float = 60.0
    minimum: int = 1
    maximum: int = 100
    dry_run: bool = False
    enabled: bool = True
    last_run_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRun(Record):
    """One decision of a policy: what it saw, what it did or would have done, and why not where it did not."""

    table: ClassVar[str] = "policy_run"
    columns: ClassVar[tuple[str, ...]] = ("policy", "created_at", "trigger")
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("policy", "trigger"),)

    policy: str
    policy_name: str
    trigger: str
    outcome: str
    reason: str = ""
    operation: str = ""
