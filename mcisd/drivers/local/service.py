"""The cloud as one object: its operations and what they need. In: operation and arguments. Out: documents."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcisd.aio.clock import Clock
from mcisd.drivers.local import catalogue
from mcisd.drivers.local.accounts import Accounts
from mcisd.drivers.local.disk import Disk, Document
from mcisd.drivers.local.machines import Machines
from mcisd.drivers.local.resources import GROUP, KEY, NETWORK, Resources
from mcisd.drivers.local.settings import CloudSettings
from mcisd.model.errors import CloudInvalidError, CloudUnsupportedError

_MADE: dict[str, type] = {"token": str, "name": str, "tags": dict}
_FIELDS: dict[str, dict[str, type]] = {
    "check": {},
    "create_network": _MADE | {"cidr": str, "subnets": list},
    "create_group": _MADE | {"network_id": str, "rules": list},
    "create_key": _MADE | {"public_key": str},
    "start_vm": _MADE
    | dict.fromkeys(("image_id", "spec_id", "network_id", "subnet_id", "key_pair_id", "guest_user", "host_key"), str)
    | {"security_group_ids": list, "zone": object},
}
_RULE: dict[str, type] = {"direction": str, "protocol": str, "from_port": int, "to_port": int, "cidr": str}
_BY_ID: dict[str, type] = {"id": str}
_BY_TAGS: dict[str, type] = {"tags": dict}


class CloudService:
    """One cloud in the directory ``home``."""

    def __init__(self, home: Path, settings: CloudSettings, clock: Clock) -> None:
        disk = Disk(home)
        resources = Resources(disk)
        self.machines = machines = Machines(home, disk, resources, settings, clock)
        self._accounts = Accounts(disk)
        self._operations: dict[str, Callable[[str, str, Document], Any]] = {
            "check": lambda _a, r, d: {"zone": catalogue.zone(r, d.get("zone"))},
            "start_vm": machines.start,
            "list_vms": lambda a, r, d: machines.listing(a, r, d["tags"]),
            "get_vm": lambda a, r, d: machines.get(a, r, d["id"]),
            "suspend_vm": lambda a, r, d: machines.suspend(a, r, d["id"]),
            "resume_vm": lambda a, r, d: machines.resume(a, r, d["id"]),
            "reboot_vm": lambda a, r, d: machines.reboot(a, r, d["id"]),
            "terminate_vm": lambda a, r, d: machines.terminate(a, r, d["id"]),
            "console": lambda a, r, d: machines.console(a, r, d["id"]),
            "list_quotas": lambda a, r, _d: machines.quotas(a, r),
            "list_owned": lambda a, r, d: resources.owned(a, r, d["tags"]),
            "crash_vm": lambda a, r, d: machines.crash(a, r, d["id"]),
        }
        for kind in (NETWORK, GROUP, KEY):
            self._operations |= _resource_operations(resources, kind)

    def perform(self, operation: str, region: str, account: str, secret: str, arguments: object) -> Any:
        """Do one operation for an account; raises errors of the CloudError tree only."""
        self._accounts.prove(account, secret)
        catalogue.place(region)
        work = self._operations.get(operation)
        if work is None:
            raise CloudUnsupportedError(f"operation {operation[:60]!r} is not offered")
        return work(account, region, _checked(operation, arguments))


def _resource_operations(resources: Resources, kind: str) -> dict[str, Callable[[str, str, Document], Any]]:
    return {
        f"create_{kind}": lambda a, r, d: resources.create(kind, a, r, d),
        f"list_{kind}": lambda a, r, d: resources.listing(kind, a, r, d["tags"]),
        f"delete_{kind}": lambda a, r, d: resources.delete(kind, a, r, d["id"]),
    }


def _checked(operation: str, arguments: object) -> Document:
    """``arguments`` with every field an operation needs, of the right type; CloudInvalidError names the first wrong."""
    needed = _FIELDS.get(operation, _BY_TAGS if operation.startswith("list_") else _BY_ID)
    document = _typed(arguments, needed)
    for rule in document.get("rules", []):
        _typed(rule, _RULE)
    if any(not isinstance(value, str) for value in document.get("tags", {}).values()):
        raise CloudInvalidError("tags must be texts", field="tags")
    if document.get("token") == "":
        raise CloudInvalidError("token is empty", field="token", remedy="give every creation a token of its own")
    return document


def _typed(document: object, needed: dict[str, type]) -> Document:
    if not isinstance(document, dict):
        raise CloudInvalidError("the arguments are not an object")
    for name, kind in needed.items():
        if name not in document or not isinstance(document[name], kind):
            raise CloudInvalidError(f"{name} is missing or not of type {kind.__name__}", field=name)
    return document
