"""The fault table: outcomes of stories in, lines of text out."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.scenarios.faults.alarms import AlarmAccount
from tests.scenarios.faults.checker import Account

HEADS = ("fault", "samples", "stored", "missing", "doubled", "wrong", "frames dropped", "alarms", "fired", "resolved",
         "repeated", "agree")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a story led to. ``agrees`` must hold."""

    name: str
    samples: Account
    alarms: AlarmAccount

    @property
    def agrees(self) -> bool:
        return self.samples.agrees and self.alarms.agrees

    @property
    def words(self) -> list[str]:
        """What was wrong, in words."""
        return [*self.samples.words, *self.alarms.words]


def lines(outcomes: Iterable[Outcome]) -> list[str]:
    """A line for each outcome below a head, in columns."""
    rows = [HEADS, *(_row(one) for one in outcomes)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADS))]
    return ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows]  # fmt: skip


def _row(one: Outcome) -> tuple[str, ...]:
    samples, alarms = one.samples, one.alarms
    wrong = samples.differing + samples.foreign + samples.false_rates
    numbers = (samples.produced, samples.stored, samples.missing, samples.doubled, wrong, samples.dropped,
               alarms.expected, alarms.firing, alarms.resolved, alarms.repeated)  # fmt: skip
    return one.name, *(f"{number:,}" for number in numbers), "yes" if one.agrees else "NO"
