"""Rules for networks, security groups and keys. In: a bench. Out: tests."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mcisd.drivers.base import KeyPairHandler, NetworkHandler, SecurityGroupHandler
from mcisd.model.errors import CloudConflictError, CloudError, CloudInvalidError, CloudNotFoundError
from tests.conformance.driver_bench import SSH, TAG, DriverBench, fresh, make_key
from tests.conformance.driver_suite_base import NOWHERE, Rules, need

ODD_IDS = ["", "../../etc/passwd", "x" * 300, "a b\n", "'; --", "💥"]


async def refused(delete: Callable[[str], Awaitable[None]], item_id: str) -> bool | None:
    """None if the deletion was accepted, else whether its error asks for another try."""
    try:
        await delete(item_id)
    except CloudError as error:
        return error.retriable
    return None


class ResourceRules(Rules):
    async def test_network_by_token(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, NetworkHandler)
        assert isinstance(connection, NetworkHandler)
        token = fresh("tok")
        made = await asyncio.gather(*(bench.network(connection, token) for _ in range(5)))
        again = await bench.network(await bench.open(), token)
        assert {network.id for network in made} == {again.id}
        assert (again.name, again.cidr, len(again.subnet_ids)) == ("net", "10.20.0.0/16", 1)
        other = await bench.network(connection)
        assert other.id != again.id
        listed = await bench.eventually(connection.list_networks, lambda found: len(found) >= 2, "both networks")
        assert sorted(network.id for network in listed) == sorted([again.id, other.id])
        assert all(n.tags["purpose"] == "suite" and n.tags[TAG] == bench.installation for n in listed)

    async def test_network_delete(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, NetworkHandler)
        assert isinstance(connection, NetworkHandler)
        network = await bench.network(connection)
        await connection.delete_network(network.id)
        await connection.delete_network(network.id)
        await connection.delete_network(NOWHERE)
        await bench.eventually(connection.list_networks, lambda found: not found, "an empty list")

    async def test_network_in_use_by_group(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, SecurityGroupHandler)
        assert isinstance(connection, SecurityGroupHandler)
        assert isinstance(connection, NetworkHandler)
        network = await bench.network(connection)
        group = await bench.group(connection, network.id)
        with pytest.raises(CloudConflictError):
            await connection.delete_network(network.id)
        await connection.delete_security_group(group.id)
        await connection.delete_network(network.id)

    async def test_group_by_token(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, SecurityGroupHandler)
        assert isinstance(connection, SecurityGroupHandler)
        network, token = await bench.network(connection), fresh("tok")
        made = await asyncio.gather(*(bench.group(connection, network.id, token) for _ in range(5)))
        assert len({group.id for group in made}) == 1
        assert made[0].rules == (SSH,)
        assert made[0].network_id == network.id
        listed = await bench.eventually(connection.list_security_groups, lambda found: bool(found), "the group")
        assert [(group.id, group.tags["purpose"]) for group in listed] == [(made[0].id, "suite")]
        assert listed[0].rules == (SSH,)
        await connection.delete_security_group(made[0].id)
        await connection.delete_security_group(made[0].id)
        await connection.delete_security_group(NOWHERE)
        await bench.eventually(connection.list_security_groups, lambda found: not found, "an empty list")

    async def test_group_needs_its_network(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, SecurityGroupHandler)
        with pytest.raises((CloudInvalidError, CloudNotFoundError)):
            await bench.group(connection, NOWHERE)

    async def test_key_by_token(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, KeyPairHandler)
        assert isinstance(connection, KeyPairHandler)
        token, line = fresh("tok"), make_key().export_public_key().decode().strip()
        made = await asyncio.gather(*(bench.key(connection, token, line) for _ in range(5)))
        assert len({key.id for key in made}) == 1
        assert made[0].fingerprint
        listed = await bench.eventually(connection.list_key_pairs, lambda found: bool(found), "the key")
        assert [(key.id, key.fingerprint, key.tags["purpose"]) for key in listed] == [
            (made[0].id, made[0].fingerprint, "suite")
        ]
        await connection.delete_key_pair(made[0].id)
        await connection.delete_key_pair(made[0].id)
        await connection.delete_key_pair(NOWHERE)
        await bench.eventually(connection.list_key_pairs, lambda found: not found, "an empty list")

    async def test_key_must_be_a_key(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, KeyPairHandler)
        with pytest.raises(CloudInvalidError):
            await bench.key(connection, public_key="not a key")

    async def test_lists_show_only_our_installation(self, bench: DriverBench) -> None:
        connection, stranger = await bench.open(), await bench.open(fresh("other"))
        need(connection, SecurityGroupHandler)
        need(connection, KeyPairHandler)
        assert isinstance(stranger, NetworkHandler)
        assert isinstance(stranger, SecurityGroupHandler)
        assert isinstance(stranger, KeyPairHandler)
        await bench.furnish(connection)
        assert await stranger.list_networks() == []
        assert await stranger.list_security_groups() == []
        assert await stranger.list_key_pairs() == []

    @pytest.mark.parametrize("odd", ODD_IDS)
    async def test_odd_ids_do_no_harm(self, bench: DriverBench, odd: str) -> None:
        """Each delete either finds nothing to do or refuses in our words."""
        connection = await bench.open()
        need(connection, NetworkHandler)
        network = await bench.network(connection)
        for api in ("delete_network", "delete_security_group", "delete_key_pair"):
            delete = getattr(connection, api, None)
            if delete is None:
                continue
            assert await refused(delete, odd) in (None, False), f"{api}({odd!r}) would be tried again for ever"
        assert isinstance(connection, NetworkHandler)
        seen = await bench.eventually(connection.list_networks, lambda found: bool(found), "the network")
        assert [n.id for n in seen] == [network.id]
