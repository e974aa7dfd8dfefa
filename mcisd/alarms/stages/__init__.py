"""The stages between a transition and its messages: a list of them is the pipeline; each takes drafts and gives drafts.

Silence, inhibition and grouping are further stages of the same form: they would stand before ``route``.
"""

from collections.abc import Callable

from mcisd.alarms.stages.base import Draft, Stage
from mcisd.alarms.stages.dedup import Dedup
from mcisd.alarms.stages.notify import Notify
from mcisd.alarms.stages.route import Route

__all__ = ["Dedup", "Draft", "Notify", "Route", "Stage", "pipeline"]


def pipeline(now: Callable[[], float], default_channels: tuple[str, ...] = ()) -> tuple[Stage, ...]:
    """The stages in their order; rules that name no channel go to ``default_channels``."""
    return (Route(default_channels), Dedup(), Notify(now))
