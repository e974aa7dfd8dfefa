"""The mock cloud itself: its objects, its clock, its moods. One object per name, shared by all its connections.

In: calls from MockConnection, faults and looks from tests. Out: effects after a latency, errors, counters, a trace.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TypeVar

from mcisd.aio.clock import Clock, SystemClock
from mcisd.drivers.mock import errors
from mcisd.drivers.mock.machine import Machine
from mcisd.drivers.mock.script import Fault, Faults, Script
from mcisd.drivers.mock.settings import MockSettings
from mcisd.drivers.mock.shelf import Shelf
from mcisd.drivers.ratelimit import AdaptiveBucket, Pace
from mcisd.drivers.wire import sent
from mcisd.model.cloud import CloudVmState, KeyPairInfo, NetworkInfo, SecurityGroupInfo
from mcisd.model.errors import CloudTimeoutError, McisdError

T = TypeVar("T")


@dataclass(slots=True)
class Region:
    """What the cloud keeps in one region. ``occupied`` counts VMs that nobody has asked to end."""

    name: str
    vms: Shelf[Machine] = field(default_factory=Shelf)
    networks: Shelf[NetworkInfo] = field(default_factory=Shelf)
    groups: Shelf[SecurityGroupInfo] = field(default_factory=Shelf)
    keys: Shelf[KeyPairInfo] = field(default_factory=Shelf)
    occupied: int = 0
    limit: AdaptiveBucket | None = None


class MockCloud:
    """A whole cloud with all its regions.

    ``faults`` and ``settings`` may be exchanged at any time; VMs already made keep the settings they were made with.
    ``calls`` counts calls by API, ``trace`` keeps the latest (time, region, api, number, outcome).
    """

    def __init__(
        self, settings: MockSettings | None = None, clock: Clock | None = None, faults: Faults | None = None
    ) -> None:
        self.settings = settings or MockSettings()
        self.clock: Clock = clock or SystemClock()
        self.faults = faults or Faults()
        self.script = Script()
        self.calls: Counter[str] = Counter()
        self.trace: deque[tuple[float, str, str, int, str]] = deque(maxlen=10_000)
        self.regions = {region.name: Region(region.name) for region in self.settings.regions}
        self._made = 0
        self._vms_by_token: dict[tuple[str, str], list[str]] = {}
        self._addresses = ip_network(self.settings.addresses)

    # What tests plan.

    def fail(self, api: str, nth: int, error: McisdError) -> None:
        """The ``nth`` call of ``api`` from now on (1: the next) fails with ``error`` and has no effect."""
        self.script.set(api, self.calls[api] + nth, Fault(error))

    def lose(self, api: str, nth: int = 1, *, hang: bool = False, effect: bool = True) -> None:
        """The ``nth`` call of ``api`` from now on takes effect, but its answer is lost; see Fault."""
        self.script.set(api, self.calls[api] + nth, Fault(None, hang, effect))

    # What tests count.

    def alive(self, installation: str | None = None) -> list[Machine]:
        """VMs that exist and that nobody has asked to end, in all regions."""
        now = self.clock.monotonic()
        return [
            machine
            for region in self.regions.values()
            for machine in region.vms
            if installation in (None, machine.installation) and machine.alive(now)
        ]

    def doubled(self) -> dict[str, list[str]]:
        """Tokens with which more than one VM was ever made → their ids."""
        return {token: ids for (_, token), ids in self._vms_by_token.items() if len(ids) > 1}

    def orphans(self, known: Collection[str], installation: str | None = None) -> list[Machine]:
        """Living VMs whose token is not among the ``known`` ones."""
        return [machine for machine in self.alive(installation) if machine.request.token not in known]

    def leftovers(self, installation: str) -> dict[str, int]:
        """How many objects of each kind an installation still has; empty when all is gone."""
        counts = Counter({"vm": len(self.alive(installation))})
        for region in self.regions.values():
            for kind, shelf in (("network", region.networks), ("group", region.groups), ("key", region.keys)):
                counts[kind] += sum(1 for _, owner, _ in shelf.tokens() if owner == installation)
        return {kind: count for kind, count in counts.items() if count}

    # What connections do.

    async def call(self, api: str, region: Region, effect: Callable[[float], T]) -> T:
        """One call: latency, faults and rate limit around ``effect``, which gets the time and happens at once."""
        self.calls[api] += 1
        sent(api)
        number = self.calls[api]
        # Chance depends on the API and the number alone, so that calls of another API in between change nothing.
        rng = self.chance(api, str(number))
        fault = self.script.take(api, number) or self.faults.draw(api, rng)
        latency = self.settings.latency.draw(rng)
        outcome = "cancelled"
        try:
            await self.clock.sleep(latency / 2)
            self._admit(region, fault)
            if fault is None or fault.effect:
                result = effect(self.clock.monotonic())
            await self.clock.sleep(latency / 2)
            if fault is not None:
                await self._lose(api, fault)
            outcome = "ok"
            return result
        except McisdError as error:
            outcome = error.code
            raise
        finally:
            self.trace.append((self.clock.monotonic(), region.name, api, number, outcome))

    def chance(self, *parts: str) -> random.Random:
        """A source of chance that depends on the seed and these words alone."""
        return random.Random(":".join((str(self.settings.seed), *parts)))  # noqa: S311 - a scripted cloud

    def next_number(self) -> int:
        self._made += 1
        return self._made

    def address(self, number: int) -> str:
        return str(self._addresses[number % (self._addresses.num_addresses - 2) + 1])

    def remember(self, region: Region, machine: Machine) -> None:
        """Note a new VM in the counters."""
        region.occupied += 1
        self._vms_by_token.setdefault((region.name, machine.request.token), []).append(machine.id)

    def crash(self, vm_id: str, reason: str = "crashed") -> bool:
        """Break a VM as if its host had died; False if there is none alive of this id."""
        now = self.clock.monotonic()
        for region in self.regions.values():
            machine = region.vms.get(vm_id)
            if machine is not None and machine.alive(now) and machine.look(now) is not CloudVmState.FAILED:
                machine.fail(reason)
                return True
        return False

    def remove_by_hand(self, vm_id: str) -> bool:
        """Take a VM away as its owner does in a cloud's own console; False if there is none of this id."""
        for region in self.regions.values():
            machine = region.vms.get(vm_id)
            if machine is not None:
                region.occupied -= machine.vanish(self.clock.monotonic())
                region.vms.remove(vm_id)
                return True
        return False

    def _admit(self, region: Region, fault: Fault | None) -> None:
        if fault is not None and fault.error is not None:
            raise fault.error
        if self.settings.calls_per_second is None:
            return
        now = self.clock.monotonic()
        if region.limit is None:
            rate = self.settings.calls_per_second
            pace = Pace(rate=rate, burst=self.settings.call_burst, floor=min(rate, 0.2))
            region.limit = AdaptiveBucket(pace, now)
        wait = region.limit.wait(now)
        if wait > 0:
            raise errors.throttled(wait)
        region.limit.take(now)

    async def _lose(self, api: str, fault: Fault) -> None:
        if fault.hang:
            await asyncio.get_running_loop().create_future()
        lost: CloudTimeoutError = errors.lost_answer(api)
        raise lost


_CLOUDS: dict[str, MockCloud] = {}


def cloud_named(
    name: str, settings: MockSettings | None = None, clock: Clock | None = None, faults: Faults | None = None
) -> MockCloud:
    """The cloud of this name, made at first use; a "restarted" daemon in this process finds it again.

    The other arguments shape a new cloud and are refused (ValueError) for one that exists.
    """
    cloud = _CLOUDS.get(name)
    if cloud is None:
        cloud = _CLOUDS[name] = MockCloud(settings, clock, faults)
    elif settings is not None or clock is not None or faults is not None:
        raise ValueError(f"the mock cloud {name!r} exists already")
    return cloud


def drop_cloud(name: str) -> None:
    """Forget a cloud; open connections keep theirs."""
    _CLOUDS.pop(name, None)
