"""What the alarms of this process have done and what fires now, for telemetry. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from mcisd.alarms.track import Track
from mcisd.model.alarms import AlarmPhase

Place = tuple[str, str, str, str]
"""Namespace, MCIS as the rule names it, name of the rule, severity."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the start: ``frames`` read, of which ``judged``, only ``replayed``, ``again`` (read once more to
    fill windows), of an ``unknown_vm``, or ``malformed`` (frames, values and schemas); ``stale_changes`` that came too
    late, another process had written. And of the partitions of this process, how many alarms fire or are pending now.
    """

    frames: int = 0
    judged: int = 0
    again: int = 0
    replayed: int = 0
    unknown_vm: int = 0
    malformed: int = 0
    stale_changes: int = 0
    partitions: int = 0
    firing: dict[Place, int] = field(default_factory=dict)
    pending: dict[Place, int] = field(default_factory=dict)


def count(tracks: Iterable[Track], phase: AlarmPhase) -> dict[Place, int]:
    """How many of these alarms are in the phase."""
    rules = (track.rule for track in tracks if track.state.phase is phase)
    return dict(Counter((rule.ns, rule.mcis, rule.name, rule.severity.value) for rule in rules))
