"""Many at once: one wins, the others are told; contrary wishes leave one clear state."""

import asyncio
from collections import Counter

import pytest

from mcisd.model.records import Mcis
from tests.integration.api import api_world
from tests.integration.api.api_kit import Api, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_fifty_creates_of_one_name(api: Api, conn: str) -> None:
    ns = await api_world.namespace(api)
    body = api_world.infra_body("one", conn)
    answers = await asyncio.gather(*(api("POST", f"/ns/{ns}/infra", body) for _ in range(50)))
    assert Counter(answer.status for answer in answers) == {202: 1, 409: 49}
    assert {answer.body["field"] for answer in answers if answer.status == 409} == {"name"}
    await api.finished(next(answer.body for answer in answers if answer.status == 202))
    shown = await api.get(f"/ns/{ns}/infra")
    assert [len(one["vms"]) for one in shown] == [1]


async def test_fifty_creates_with_one_key_are_one(api: Api, conn: str) -> None:
    ns = await api_world.namespace(api)
    body, key = api_world.infra_body("one", conn), {"Idempotency-Key": f"race-{ns}"}
    answers = await asyncio.gather(
        *(api("POST", f"/ns/{ns}/infra", body, expect=202, headers=key) for _ in range(50))
    )  # fmt: skip
    assert len({answer.body["id"] for answer in answers}) == 1
    async with api.context.store.reading() as tx:
        assert await tx.count(Mcis, ns=ns) == 1


async def test_suspend_and_terminate_at_once(api: Api, conn: str) -> None:
    """Whoever comes last is refused or wins; in the end every VM is where its goal says."""
    for _ in range(5):
        path = await api_world.infra(api, conn, count=3)
        verbs = ("suspend", "terminate", "reboot", "suspend", "terminate")
        answers = await asyncio.gather(*(api("POST", f"{path}/{verb}") for verb in verbs))
        assert {answer.status for answer in answers} <= {202, 409}
        terminated = any(a.status == 202 for a, verb in zip(answers, verbs, strict=True) if verb == "terminate")
        assert terminated

        async def settled(path: str = path) -> bool:
            shown = await api.get(f"{path}/status")
            return bool(shown["counts"] == {"Terminated": 3})

        await eventually(settled, f"{path} terminated")
        for answer in answers:
            if answer.status == 202:
                done = await api.get(f"/operations/{answer.body['id']}?wait=10")
                assert done["state"] != "running", done
        await api.delete(path)


async def test_creates_and_deletes_of_names_at_once(api: Api) -> None:
    """Same names made and unmade by many: every answer is one of the defined ones, and the end is consistent."""
    names = [api_world.fresh("ns") for _ in range(3)]

    async def one(number: int) -> int:
        name = names[number % 3]
        if number % 2:
            return (await api("DELETE", f"/ns/{name}")).status
        return (await api("POST", "/ns", {"name": name})).status

    statuses = await asyncio.gather(*(one(number) for number in range(60)))
    assert set(statuses) <= {201, 204, 404, 409}
    left = {one["name"] for one in await api.get("/ns")} & set(names)
    for name in names:
        await api("GET", f"/ns/{name}", expect=200 if name in left else 404)
