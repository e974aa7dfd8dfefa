"""What each call of a handler sends to the cloud, held against a file under version control.

In: a bench. Out: a test that fails when the number of requests changes; MCISD_TRACES=write writes the files anew.
"""

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from mcisd.drivers.base import InventoryHandler, KeyPairHandler, NetworkHandler, SecurityGroupHandler
from mcisd.drivers.gated import handler
from mcisd.drivers.wire import heard
from mcisd.model.cloud import CloudVmState
from tests.conformance.driver_bench import DriverBench, Furniture, make_key
from tests.conformance.driver_suite_base import Rules
from tests.conformance.driver_suite_vms import opened

T = TypeVar("T")
FOLDER = Path(__file__).parent / "traces"


class Trace:
    """Lines such as ``start_vm: 2 x DescribeImages, RunInstances``.

    A driver names what it repeats until a cloud's work is done "poll …"; how often depends on the day and is not noted.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def of(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        sent: list[str] = []
        with heard(sent.append):
            result = await work()
        if sent:
            self.lines.append(f"{name}: " + ", ".join(_counted(api, n) for api, n in Counter(sent).items()))
        return result


def _counted(api: str, number: int) -> str:
    return api if number == 1 or api.startswith("poll ") else f"{number} x {api}"


class TraceRules(Rules):
    async def test_requests_on_the_wire(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        networks = handler(connection, NetworkHandler)
        groups, keys = handler(connection, SecurityGroupHandler), handler(connection, KeyPairHandler)
        trace, line = Trace(), make_key().export_public_key().decode().strip()
        await trace.of("check", connection.check)
        network = await trace.of("create_network", lambda: bench.network(connection))
        group = await trace.of("create_security_group", lambda: bench.group(connection, network.id))
        key = await trace.of("create_key_pair", lambda: bench.key(connection, public_key=line))
        request = bench.vm_request(Furniture(network, group, key, line))
        vm = await trace.of("start_vm", lambda: vms.start_vm(request))
        await trace.of("start_vm again", lambda: vms.start_vm(request))
        await bench.reach(connection, vm.id, CloudVmState.RUNNING)
        await trace.of("list_networks", networks.list_networks)
        await trace.of("list_vm_status", vms.list_vm_status)
        await trace.of("list_vms", vms.list_vms)
        await trace.of("get_vm", lambda: vms.get_vm(vm.id))
        if isinstance(connection, InventoryHandler):
            await trace.of("list_owned", connection.list_owned)
        await trace.of("reboot_vm", lambda: vms.reboot_vm(vm.id))
        await bench.reach(connection, vm.id, CloudVmState.RUNNING)
        await trace.of("suspend_vm", lambda: vms.suspend_vm(vm.id))
        await bench.reach(connection, vm.id, CloudVmState.STOPPED)
        await trace.of("resume_vm", lambda: vms.resume_vm(vm.id))
        await bench.reach(connection, vm.id, CloudVmState.RUNNING)
        await trace.of("terminate_vm", lambda: vms.terminate_vm(vm.id))
        await bench.ended(connection, vm.id)
        await trace.of("delete_security_group", lambda: groups.delete_security_group(group.id))
        await trace.of("delete_network", lambda: networks.delete_network(network.id))
        await trace.of("delete_key_pair", lambda: keys.delete_key_pair(key.id))
        self._compare(trace.lines)

    def _compare(self, lines: list[str]) -> None:
        if not self.column or not lines:
            return
        path = FOLDER / f"{self.column}.txt"
        text = "\n".join(lines) + "\n"
        if os.environ.get("MCISD_TRACES") == "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path.name} is missing; MCISD_TRACES=write writes it"
        assert text == path.read_text(), f"other requests than {path} says; if they are meant: MCISD_TRACES=write"
