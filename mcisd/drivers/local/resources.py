"""Networks, security groups and key pairs of the cloud. In: checked-in requests as documents. Out: documents.

Creation is idempotent by token, deletion of what does not exist succeeds, deletion of what is used is a conflict.
"""

import ipaddress
import re
import secrets

import asyncssh

from mcisd.drivers.local.disk import Disk, Document, Item
from mcisd.model.errors import CloudConflictError, CloudInvalidError, CloudNotFoundError

NETWORK, GROUP, KEY, VM = "network", "group", "key", "vm"
_PREFIX = {NETWORK: "net", GROUP: "sg", KEY: "key", VM: "i"}
_INVENTORY = {VM: "vm", NETWORK: "network", GROUP: "security-group", KEY: "key"}
_USES: dict[str, tuple[tuple[str, str], ...]] = {
    NETWORK: ((GROUP, "network_id"), (VM, "network_id")),
    GROUP: ((VM, "security_group_ids"),),
    KEY: ((VM, "key_pair_id"),),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,127}")
_PORTS = range(-1, 65536)


class Resources:
    """Everything a VM refers to, kept on ``disk``."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def create(self, kind: str, account: str, region: str, request: Document) -> Document:
        """Make a network, security group or key pair, or return the one made earlier with the same token."""
        known = self._disk.by_token(kind, account, region, request["token"])
        if known is None:
            builder = {NETWORK: self._network, GROUP: self._group, KEY: self._key}[kind]
            face, inner = builder(account, region, request)
            item_id = new_id(kind)
            face |= {"id": item_id, "name": check_name(request["name"]), "tags": request["tags"]}
            known = Item(kind, item_id, account, region, request["token"], face, inner)
            self._disk.put(known)
        return known.face

    def listing(self, kind: str, account: str, region: str, tags: dict[str, str]) -> list[Document]:
        """All of one kind that carry all of ``tags``."""
        items = self._disk.within(kind, account, region)
        return [item.face for item in items if tags.items() <= item.face["tags"].items()]

    def owned(self, account: str, region: str, tags: dict[str, str]) -> list[Document]:
        """Everything that carries all of ``tags``, VMs included, as rows of an inventory."""
        return [
            {"kind": word, "id": item.id, "name": item.face["name"], "token": item.token, "tags": item.face["tags"]}
            for kind, word in _INVENTORY.items()
            for item in self._disk.within(kind, account, region)
            if tags.items() <= item.face["tags"].items()
        ]

    def delete(self, kind: str, account: str, region: str, item_id: str) -> None:
        """Remove it; CloudConflictError while something refers to it."""
        item = self._disk.get(kind, item_id)
        if item is None or (item.account, item.region) != (account, region):
            return
        for user_kind, where in _USES[kind]:
            for user in self._disk.within(user_kind, account, region):
                value = user.face.get(where, user.inner.get(where, ()))
                if item_id == value or (isinstance(value, list) and item_id in value):
                    raise CloudConflictError(f"{item_id} is used by {user.id}", remedy=f"delete {user.id} first")
        self._disk.remove(kind, item_id)

    def need(self, kind: str, account: str, region: str, item_id: str, where: str) -> Item:
        """The object a request refers to; CloudNotFoundError names the field at fault."""
        item = self._disk.get(kind, item_id)
        if item is None or (item.account, item.region) != (account, region):
            raise CloudNotFoundError(f"{kind} {item_id[:60]!r} does not exist in {region}", field=where)
        return item

    def _network(self, _account: str, _region: str, request: Document) -> tuple[Document, Document]:
        whole = _cidr(request["cidr"], "cidr")
        for subnet in request["subnets"]:
            part = _cidr(subnet, "subnets")
            if part.version != whole.version or not whole.supernet_of(part):  # type: ignore[arg-type]  # same version
                raise CloudInvalidError(f"subnet {subnet} is outside {whole}", field="subnets")
        stem = secrets.token_hex(4)
        ids = [f"subnet-{stem}-{number}" for number, _ in enumerate(request["subnets"])]
        return {"cidr": str(whole), "subnet_ids": ids}, {}

    def _group(self, account: str, region: str, request: Document) -> tuple[Document, Document]:
        self.need(NETWORK, account, region, request["network_id"], "network_id")
        for rule in request["rules"]:
            _check_rule(rule)
        return {"network_id": request["network_id"], "rules": request["rules"]}, {}

    def _key(self, _account: str, _region: str, request: Document) -> tuple[Document, Document]:
        try:
            key = asyncssh.import_public_key(request["public_key"])
        except (asyncssh.KeyImportError, ValueError) as error:
            raise CloudInvalidError("public_key is not an OpenSSH public key", field="public_key") from error
        return {"fingerprint": key.get_fingerprint()}, {"public_key": request["public_key"]}


def new_id(kind: str) -> str:
    """A fresh id as clouds give them, such as ``i-0f3a…``."""
    return f"{_PREFIX[kind]}-{secrets.token_hex(8)}"


def check_name(name: str) -> str:
    """``name`` if it can be shown and logged safely, else CloudInvalidError."""
    if not _NAME.fullmatch(name):
        raise CloudInvalidError(f"name {name[:60]!r} is not valid", field="name", remedy="use letters, digits, . _ -")
    return name


def _cidr(text: str, where: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise CloudInvalidError(f"{where} {text[:60]!r} is not an address range", field=where) from error


def _check_rule(rule: Document) -> None:
    _cidr(rule["cidr"], "rules")
    fits = rule["direction"] in {"inbound", "outbound"} and rule["protocol"] in {"tcp", "udp", "icmp", "all"}
    if not fits or rule["from_port"] not in _PORTS or rule["to_port"] not in _PORTS:
        raise CloudInvalidError("a rule is not valid", field="rules", remedy="see FirewallRule for what it may hold")
