"""Tokens: kept, renewed before they end, asked for once by many. Works: done to their end, one at a time."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.drivers.openstack.http import Answer, Http
from mcisd.drivers.openstack.keystone import Keystone, endpoints, versioned
from mcisd.drivers.openstack.once import REMEMBERED, Memory, Works
from mcisd.drivers.openstack.settings import Settings
from mcisd.model.errors import CloudInvalidError, CloudTransientError

PLACES = [
    {"interface": "public", "region_id": "north", "url": "http://nova.lab/v2.1"},
    {"interface": "internal", "region_id": "north", "url": "http://nova.inner/v2.1/p1/"},
    {"interface": "public", "region_id": "south", "url": "http://nova.south/v2.1"},
]
CATALOGUE = [
    {"type": "compute", "endpoints": PLACES},
    {"type": "network", "endpoints": [{"interface": "public", "region_id": "north", "url": "http://neutron.lab"}]},
    {"type": "image", "endpoints": [{"interface": "public", "region": "north", "url": "http://glance.lab/"}]},
]


class Desk(Http):
    """Keystone's answers, without keystone: each is one token of an hour."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.life = "11:00:00"

    async def ask(
        self,
        operation: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: object | None = None,
    ) -> Answer:
        self.asked += 1
        await asyncio.sleep(0)
        token: dict[str, Any] = {
            "issued_at": "2030-01-01T10:00:00.000000Z", "expires_at": f"2030-01-01T{self.life}.000000Z",
            "project": {"id": "p1"}, "user": {"id": "u1"}, "catalog": CATALOGUE,
        }  # fmt: skip
        return Answer(201, {"X-Subject-Token": f"t{self.asked}"}, {"token": token})


def keystone(desk: Desk, clock: ManualClock) -> Keystone:
    known = Settings("north", "http://k/v3", {"user_id": "u", "password": "p", "project_id": "p1"})
    return Keystone(desk, known, clock)


async def test_one_token_for_many_until_a_minute_before_its_end() -> None:
    desk, clock = Desk(), ManualClock()
    who = keystone(desk, clock)
    tokens = await asyncio.gather(*(who.token() for _ in range(10)))
    assert {token.text for token in tokens} == {"t1"}
    await clock.advance(3539)
    assert (await who.token()).text == "t1"
    await clock.advance(2)
    assert (await who.token()).text == "t2"


async def test_a_short_life_leaves_a_tenth() -> None:
    desk, clock = Desk(), ManualClock()
    desk.life = "10:01:40"
    who = keystone(desk, clock)
    await who.token()
    await clock.advance(89)
    assert (await who.token()).text == "t1"
    await clock.advance(2)
    assert (await who.token()).text == "t2"


async def test_a_token_that_was_refused_is_replaced_once() -> None:
    desk = Desk()
    who = keystone(desk, ManualClock())
    bad = await who.token()
    tokens = await asyncio.gather(*(who.token(refused=bad) for _ in range(5)))
    assert {token.text for token in tokens} == {"t2"}
    assert "t1" not in repr(bad)


def test_catalogue() -> None:
    known = Settings("north", "http://k/v3", {})
    assert endpoints(CATALOGUE, known) == {
        "nova": "http://nova.lab/v2.1", "neutron": "http://neutron.lab/v2.0", "glance": "http://glance.lab/v2"
    }  # fmt: skip
    with pytest.raises(CloudInvalidError) as caught:
        endpoints(CATALOGUE, Settings("west", "http://k/v3", {}))
    assert "north, south" in (caught.value.remedy or "")
    with pytest.raises(CloudInvalidError) as caught:
        endpoints(CATALOGUE, Settings("north", "http://k/v3", {}, interface="internal"))
    assert "network and image" in caught.value.message
    own = {"neutron": "http://n/v2.0", "glance": "http://g"}
    found = endpoints(CATALOGUE, Settings("north", "http://k/v3", {}, interface="internal", endpoints=own))
    assert found == {"nova": "http://nova.inner/v2.1/p1", "neutron": "http://n/v2.0", "glance": "http://g/v2"}


def test_addresses_get_a_version_once() -> None:
    assert versioned("neutron", "http://v.example:9696/") == "http://v.example:9696/v2.0"
    assert versioned("nova", "https://lab/compute/v2.1") == "https://lab/compute/v2.1"
    assert versioned("glance", "https://lab/image") == "https://lab/image/v2"


async def test_a_closed_connection_says_so() -> None:
    http = Http()
    await http.close()
    await http.close()
    with pytest.raises(CloudTransientError):
        await http.ask("x", "GET", "http://127.0.0.1/")


async def test_work_goes_on_without_its_caller_and_the_next_waits_for_it() -> None:
    works, memory = Works(), Memory()
    done: list[int] = []
    gate = asyncio.Event()

    async def work() -> int:
        await gate.wait()
        done.append(len(done))
        return len(done)

    first = asyncio.ensure_future(works.run(memory.lock("a"), work))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(works.run(memory.lock("a"), work))
    await asyncio.sleep(0)
    gate.set()
    assert await second == 2
    await works.close()


async def test_closing_ends_works() -> None:
    works, memory = Works(), Memory()

    async def forever() -> None:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(works.run(memory.lock("a"), forever))
    await asyncio.sleep(0)
    await works.close()
    await works.close()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_memory_is_bounded() -> None:
    memory = Memory()
    for number in range(REMEMBERED + 10):
        memory.keep("in1", f"t{number}", f"s{number}")
    assert memory.vm("in1", "t9") is None
    assert memory.vm("in1", "t10") == "s10"
    assert (memory.token("in1", "s10"), memory.token("in2", "s10"), memory.token("in1", "s9")) == ("t10", "", "")
    memory.drop("in1", "t10")
    memory.drop("in1", "t10")
    assert memory.vm("in1", "t10") is None
