"""What goes wrong in a mock cloud, and when: by chance (Faults) or by plan (Script: one call, or all for a while).

In: an API's name, the number of the call, a source of chance. Out: the fault of that call, or None.
"""

import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcisd.drivers.mock import errors
from mcisd.model.errors import McisdError


@dataclass(frozen=True, slots=True)
class Fault:
    """``error`` refuses the call without effect; otherwise the call takes effect and its answer is lost.

    A lost answer shows as CloudTimeoutError, or with ``hang`` as no answer at all until the caller gives up.
    With ``hang`` and ``effect`` False the call is swallowed on its way to the cloud.
    """

    error: McisdError | None = None
    hang: bool = False
    effect: bool = True


@dataclass(frozen=True, slots=True)
class Rates:
    """Share of calls (0 to 1) that meet each fault; ``retry_after`` seconds go with a throttling."""

    throttle: float = 0.0
    transient: float = 0.0
    lost: float = 0.0
    hang: float = 0.0
    capacity: float = 0.0
    retry_after: float = 1.0

    def draw(self, rng: random.Random) -> Fault | None:
        """At most one fault, chosen by one draw."""
        point = rng.random()
        for share, fault in (
            (self.throttle, Fault(errors.throttled(self.retry_after))),
            (self.transient, Fault(errors.flaky())),
            (self.lost, Fault()),
            (self.hang, Fault(hang=True)),
            (self.capacity, Fault(errors.no_capacity())),
        ):
            if point < share:
                return fault
            point -= share
        return None


@dataclass(frozen=True, slots=True)
class Faults:
    """Chance faults: ``rates`` for all calls, ``per_api`` instead of them for some."""

    rates: Rates = field(default_factory=Rates)
    per_api: dict[str, Rates] = field(default_factory=dict)

    def draw(self, api: str, rng: random.Random) -> Fault | None:
        rates = self.per_api.get(api, self.rates)
        return rates.draw(rng)


@dataclass(slots=True, eq=False)
class Strike:
    """The next ``left`` calls of these APIs (None: as long as it holds; of all APIs) meet ``fault``."""

    fault: Fault
    apis: Collection[str] | None
    left: int | None

    def hits(self, api: str) -> bool:
        return self.left != 0 and (self.apis is None or api in self.apis)


class Script:
    """Planned faults: strikes, and the n-th call of an API, counted from 1 at the cloud's birth (MockCloud.calls)."""

    def __init__(self) -> None:
        self._plan: dict[tuple[str, int], Fault] = {}
        self._strikes: list[Strike] = []

    @contextmanager
    def strike(self, fault: Fault, apis: Collection[str] | None = None, times: int | None = None) -> Iterator[None]:
        """While inside, calls meet ``fault``; see Strike."""
        strike = Strike(fault, apis, times)
        self._strikes.append(strike)
        try:
            yield
        finally:
            self._strikes.remove(strike)

    def set(self, api: str, number: int, fault: Fault) -> None:
        if number < 1:
            raise ValueError("calls are counted from 1")
        self._plan[api, number] = fault

    def take(self, api: str, number: int) -> Fault | None:
        planned = self._plan.pop((api, number), None)
        if planned is not None:
            return planned
        strike = next((strike for strike in self._strikes if strike.hits(api)), None)
        if strike is None:
            return None
        if strike.left is not None:
            strike.left -= 1
        return strike.fault
