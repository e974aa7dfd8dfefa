"""The checker: what agents produced against what is stored. In: the journal, the stores. Out: an account with counts.

Frames are compared by the windows they belong to: count, sum, minimum, maximum and last value of every column, of every
VM. As the column "mark" names the frame and "number" the VM, a frame that is stored twice, elsewhere or not at all
shows, also where two faults would cancel out in a count.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mcisd.store.series.base import STATISTICS, SeriesQuery, SeriesResult
from tests.scenarios.faults.expected import WIDTH_MS, Expected, dropped_by_window, windows
from tests.scenarios.faults.produce import COLUMNS, slope

RATES = {"ticks_rate": 1000}
"""Field of a derived rate → what the slope of its VM is multiplied by."""
MOST_WORDS = 12
MARGIN = 3  # windows before and after the journal in which nothing may be
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Key = tuple[str, tuple[tuple[str, str], ...]]  # field, tags


@dataclass(slots=True)
class Account:
    """All counts are of samples (frames × columns) but ``dropped``, which is of frames, as agents count."""

    produced: int = 0
    stored: int = 0
    missing: int = 0
    doubled: int = 0
    dropped: int = 0
    differing: int = 0  # cells with the right count and other values
    foreign: int = 0  # cells of windows that no agent produced
    false_rates: int = 0
    unexplained: int = 0  # missing though no agent dropped it
    uncounted: int = 0  # frames dropped, and not in an agent's counter; or the other way round
    words: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Each sample is stored once, on its VM; what is missing was dropped by its agent, which has counted it.

        An agent may drop what is stored already, as it did not know yet: then less is missing than was dropped.
        """
        wrong = self.doubled + self.differing + self.foreign + self.false_rates
        return not (wrong + self.unexplained + self.uncounted)

    def say(self, words: str) -> None:
        if len(self.words) < MOST_WORDS:
            self.words.append(words)


class Reads(Protocol):
    """The part of the series store that is asked."""

    async def query(self, query: SeriesQuery) -> list[SeriesResult]: ...


class Checker:
    """``vms`` maps the number of a VM to its uid."""

    def __init__(self, series: Reads, vms: dict[int, str]) -> None:
        self._series = series
        self._uids = vms
        self._numbers = {uid: number for number, uid in vms.items()}

    async def stored_frames(self, journal: NDArray[np.void]) -> int:
        """How many frames the store has, by the counts of the first column: cheap, for waiting."""
        found = await self._ask("lab", "count", windows(journal), ["mark"])
        return int(sum(one.values.sum() for one in found))

    async def account(self, journal: NDArray[np.void], drops: NDArray[np.void], counted: int) -> Account:
        """Compare everything. ``drops``: the frames that agents dropped; ``counted``: how many they say these are."""
        wanted = windows(journal)
        account = Account(produced=wanted.frames * len(COLUMNS), dropped=counted)
        account.uncounted = abs(counted - len(drops))
        excused = dropped_by_window(wanted, journal, drops)
        for measurement in dict.fromkeys(str(column[0]) for column in COLUMNS):
            tables = {name: await self._table(account, measurement, name, wanted) for name in STATISTICS}
            for index, (of, name, tags, _) in enumerate(COLUMNS):
                if of == measurement:
                    assert isinstance(tags, dict)
                    key = str(name), tuple(sorted(tags.items()))
                    nothing = np.full(len(wanted.count), np.nan)
                    found = {statistic: tables[statistic].get(key, nothing) for statistic in STATISTICS}
                    _compare(account, wanted, index, found, excused)
            for name, factor in RATES.items():
                rates = [tables[statistic].get((name, ())) for statistic in ("min", "max")]
                _rates(account, wanted, factor, rates)
        return account

    async def _table(self, account: Account, measurement: str, statistic: str, wanted: Expected) -> dict[Key, F64]:
        """By series one value for each wanted window, NaN where there is none."""
        starts = zip(wanted.numbers.tolist(), wanted.starts.tolist(), strict=True)
        rows = {place: row for row, place in enumerate(starts)}
        table: dict[Key, F64] = {}
        for one in await self._ask(measurement, statistic, wanted, []):
            key = one.column.field, one.column.tags
            values = table.setdefault(key, np.full(len(rows), np.nan))
            number = self._numbers[one.vm]
            for time_ms, value in zip(one.times_ms.tolist(), one.values.tolist(), strict=True):
                row = rows.get((number, time_ms))
                if row is None:
                    account.foreign += 1
                    account.say(
                        f"VM {number}: {one.column.series} has a window at {_utc(time_ms)} that nobody produced"
                    )
                else:
                    values[row] = value
        return table

    async def _ask(self, measurement: str, statistic: str, wanted: Expected, fields: list[str]) -> list[SeriesResult]:
        if not len(wanted.starts):
            return []
        query = SeriesQuery(
            list(self._uids.values()), measurement, int(wanted.starts.min()) - MARGIN * WIDTH_MS,
            int(wanted.starts.max()) + (1 + MARGIN) * WIDTH_MS, WIDTH_MS, statistic, fields,
        )  # fmt: skip
        return await self._series.query(query)


def _compare(account: Account, wanted: Expected, index: int, found: dict[str, F64], excused: I64) -> None:
    """One column of all windows, of each of which so many frames were ``excused``."""
    count = np.nan_to_num(found["count"])
    lack = wanted.count - count
    account.stored += int(count.sum())
    account.missing += int(lack[lack > 0].sum())
    account.doubled += int(-lack[lack < 0].sum())
    unexplained = np.maximum(lack - excused, 0.0)
    account.unexplained += int(unexplained.sum())
    for row in np.flatnonzero(unexplained + (lack < 0)).tolist():
        where = f"VM {wanted.numbers[row]}, window {_utc(wanted.starts[row])}, column {index}"
        numbers = f"{wanted.count[row]} produced, {excused[row]} dropped, {count[row]:.0f} stored"
        account.say(f"{where}: {numbers}")
    truth = {
        "avg": wanted.total[:, index] / wanted.count, "min": wanted.low[:, index], "max": wanted.high[:, index],
        "last": wanted.last[:, index],
    }  # fmt: skip
    wrong = np.zeros(len(lack), dtype=bool)
    for statistic, right in truth.items():
        wrong |= ~np.isclose(found[statistic], right, rtol=1e-12, atol=0.0)
    wrong &= lack == 0
    account.differing += int(wrong.sum())
    for row in np.flatnonzero(wrong).tolist():
        told = {statistic: (float(found[statistic][row]), float(right[row])) for statistic, right in truth.items()}
        account.say(
            f"VM {wanted.numbers[row]}, window {_utc(wanted.starts[row])}, column {index}: stored and true {told}"
        )


def _rates(account: Account, wanted: Expected, factor: int, found: list[F64 | None]) -> None:
    """Every derived rate is the counter's slope: no fault makes a false one. Windows without a rate are allowed."""
    right = slope(wanted.numbers).astype(np.float64) * factor
    for values in found:
        if values is not None:
            false = ~np.isnan(values) & ~np.isclose(values, right, rtol=1e-6)
            account.false_rates += int(false.sum())
            for row in np.flatnonzero(false).tolist():
                account.say(f"VM {wanted.numbers[row]}, window {_utc(wanted.starts[row])}: rate {values[row]}")


def _utc(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%H:%M:%S}"
