"""Rules for what interrupted and ended work leaves at a cloud: nothing that costs money. In: a bench. Out: tests."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcisd.drivers.base import CloudConnection, InventoryHandler, NetworkHandler, VmHandler
from mcisd.drivers.gated import handler
from mcisd.model.cloud import CloudVmState, OwnedInfo
from mcisd.model.errors import CloudError
from tests.conformance.driver_bench import DriverBench, Trouble, fresh
from tests.conformance.driver_suite_base import Rules, need
from tests.conformance.driver_suite_vms import living, opened

State = CloudVmState
T = TypeVar("T")
STRIKES = 20
"""More requests than any one creation needs: each of them loses its answer once."""


async def insisted(work: Callable[[], Awaitable[T]]) -> tuple[T, int]:
    """What comes of trying again until it is through, and how many tries failed."""
    for failed in range(2 * STRIKES):
        try:
            return await work(), failed
        except CloudError as error:
            if not error.retriable:  # nobody would try again
                raise
    raise AssertionError("never came through")


async def remove_all(bench: DriverBench, inventory: InventoryHandler) -> None:
    """Take away what the inventory shows, in the order in which the cloud lets it go."""
    left: list[OwnedInfo] = await inventory.list_owned()
    for _ in range(bench.patience):
        if not left:
            return
        for item in left:
            try:
                await inventory.remove_owned(item)
            except CloudError as error:
                if error.code not in ("cloud-conflict", "cloud-not-found"):
                    raise
        await bench.settle()
        left = await inventory.list_owned()
    raise AssertionError(f"never went: {left}")


async def stock(connection: CloudConnection) -> list[tuple[str, str]]:
    """Kind and id of all that is ours, sorted."""
    return sorted((item.kind, item.id) for item in await handler(connection, InventoryHandler).list_owned())


class LeftoverRules(Rules):
    async def test_network_half_made(self, bench: DriverBench) -> None:
        """Every one of its requests loses its answer in turn: one network at the end, and no part of a second."""
        connection = await bench.open()
        networks, token = handler(connection, NetworkHandler), fresh("half")
        async with bench.trouble(Trouble.LOST_ANSWER, STRIKES):
            made, failed = await insisted(lambda: bench.network(connection, token))
        assert failed
        seen = await bench.eventually(networks.list_networks, lambda found: bool(found), "the network")
        assert [(network.id, network.subnet_ids) for network in seen] == [(made.id, made.subnet_ids)]
        await networks.delete_network(made.id)
        if isinstance(connection, InventoryHandler):
            await bench.eventually(connection.list_owned, lambda found: not found, "no part of a second network")

    async def test_vm_half_made(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        async with bench.trouble(Trouble.LOST_ANSWER, STRIKES):
            made, failed = await insisted(lambda: vms.start_vm(request))
        assert failed
        await bench.reach(connection, made.id, State.RUNNING)
        seen = await bench.eventually(lambda: living(vms), lambda found: bool(found), "the VM in the list")
        assert [vm.id for vm in seen] == [made.id]

    async def test_half_made_is_found_and_removed(self, bench: DriverBench) -> None:
        """Nobody asks again after the first lost answer: what is there carries our mark and can be taken away."""
        connection, vms = await opened(bench)
        need(connection, InventoryHandler)
        inventory = handler(connection, InventoryHandler)
        request = bench.vm_request(await bench.furnish(connection))
        before = await stock(connection)
        async with bench.trouble(Trouble.LOST_ANSWER):
            for work in (lambda: vms.start_vm(request), lambda: bench.network(connection)):
                try:
                    await work()
                except CloudError as error:
                    if not error.retriable:
                        raise
        await bench.eventually(lambda: stock(connection), lambda now: now != before, "what was begun")
        await remove_all(bench, inventory)
        assert await living(vms) == []

    async def test_terminate_takes_all_parts_away(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        need(connection, InventoryHandler)
        request = bench.vm_request(await bench.furnish(connection))
        for _ in range(bench.lag):
            await bench.settle()
        before = await stock(connection)
        vm = await vms.start_vm(request)
        await bench.reach(connection, vm.id, State.RUNNING)
        await bench.eventually(lambda: stock(connection), lambda now: len(now) > len(before), "the VM")
        await vms.terminate_vm(vm.id)
        await bench.ended(connection, vm.id)
        await bench.eventually(lambda: stock(connection), lambda now: now == before, f"{before} and no more")

    async def test_nothing_is_left(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        need(connection, InventoryHandler)
        furniture = await bench.furnish(connection)
        vm = await bench.reach(connection, (await vms.start_vm(bench.vm_request(furniture))).id, State.RUNNING)
        inventory = handler(connection, InventoryHandler)
        owned = await bench.eventually(
            inventory.list_owned,
            lambda found: {vm.id, furniture.network.id} <= {item.id for item in found},
            "VM and network",
        )
        assert vm.token in {item.token for item in owned if item.kind == "vm"}
        await bench.clean()
        assert await handler(await bench.open(), InventoryHandler).list_owned() == []

    async def test_leftovers_are_removed(self, bench: DriverBench) -> None:
        """All that is there goes by the inventory alone."""
        connection, vms = await opened(bench)
        need(connection, InventoryHandler)
        await bench.running(connection)
        await remove_all(bench, handler(connection, InventoryHandler))
        assert await living(vms) == []

    async def test_two_installations_in_one_account(self, bench: DriverBench) -> None:
        """The same names, the same addresses; one takes all of its own away, and the other's VM runs on."""
        connection, vms = await opened(bench)
        need(connection, InventoryHandler)
        other = await bench.open(fresh("other"))
        ours, theirs = await bench.running(connection), await bench.running(other)
        assert ours.id != theirs.id
        await remove_all(bench, handler(connection, InventoryHandler))
        assert await living(vms) == []
        assert [vm.id for vm in await living(handler(other, VmHandler))] == [theirs.id]
        assert (await handler(other, VmHandler).get_vm(theirs.id)).state is State.RUNNING
