"""The "cloud": what a real driver would reach over the network. In: entries. Out: entries; nothing is ever real."""

import itertools
import time
from dataclasses import dataclass, field, replace

from mcisd.model.cloud import CloudVmState, KeyPairInfo, NetworkInfo, SecurityGroupInfo, VmInfo

BOOT_SECONDS = 0.05


@dataclass
class Page:
    """All objects of one account in one region, by id; ``tokens`` remembers what each creation token made."""

    networks: dict[str, NetworkInfo] = field(default_factory=dict)
    groups: dict[str, SecurityGroupInfo] = field(default_factory=dict)
    keys: dict[str, KeyPairInfo] = field(default_factory=dict)
    vms: dict[str, VmInfo] = field(default_factory=dict)
    group_ids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tokens: dict[str, NetworkInfo | SecurityGroupInfo | KeyPairInfo | VmInfo] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def next_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self.numbers)}"

    def vm(self, vm_id: str) -> VmInfo | None:
        """The VM as it is now: a pending one runs when its time has come."""
        vm = self.vms.get(vm_id)
        if vm is not None and vm.state is CloudVmState.PENDING and time.time() >= (vm.started_at or 0) + BOOT_SECONDS:
            number = int(vm_id.rpartition("-")[2])
            address = f"192.0.2.{number % 254 + 1}"
            vm = self.vms[vm_id] = replace(
                vm, state=CloudVmState.RUNNING, public_address=address, private_address=address
            )
        return vm

    def users(self, *, network: str = "", group: str = "") -> list[str]:
        """Who stands in a network or uses a security group."""
        found = [g.id for g in self.groups.values() if g.network_id == network]
        found += [vm.id for vm in self.vms.values() if vm.network_id == network]
        return found + [vm_id for vm_id in self.vms if group in self.group_ids[vm_id]]


_BOOK: dict[tuple[str, str], Page] = {}


def page(account: str, region: str) -> Page:
    """The page of an account in a region, begun at first use."""
    return _BOOK.setdefault((account, region), Page())
