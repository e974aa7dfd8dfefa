"""A VM request, checked and turned into the record of a VM. In: request documents. Out: items not yet kept."""

import re

import asyncssh

from mcisd.drivers.local import catalogue
from mcisd.drivers.local.disk import Document, Item
from mcisd.drivers.local.resources import GROUP, KEY, NETWORK, VM, Resources, check_name, new_id
from mcisd.model.cloud import CloudVmState
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def new_item(resources: Resources, account: str, region: str, request: Document) -> Item:
    """The record of a VM that is to be; CloudInvalidError or CloudNotFoundError names the field at fault."""
    zone = catalogue.zone(region, request["zone"])
    catalogue.image(request["image_id"])
    catalogue.spec(request["spec_id"])
    network = resources.need(NETWORK, account, region, request["network_id"], "network_id")
    if request["subnet_id"] and request["subnet_id"] not in network.face["subnet_ids"]:
        raise CloudNotFoundError("the subnet does not exist in the network", field="subnet_id")
    for group in request["security_group_ids"]:
        resources.need(GROUP, account, region, group, "security_group_ids")
    key = resources.need(KEY, account, region, request["key_pair_id"], "key_pair_id")
    if not _USER.fullmatch(request["guest_user"]):
        raise CloudInvalidError(
            "guest_user is not a valid user name", field="guest_user", remedy="such as root, ubuntu"
        )
    _check_host_key(request["host_key"])
    copied = ("token", "guest_user", "image_id", "spec_id", "network_id", "tags")
    face = {name: request[name] for name in copied} | {
        "id": new_id(VM),
        "name": check_name(request["name"]),
        "state": CloudVmState.PENDING,
        "region": region,
        "zone": zone,
        "public_address": "",
        "private_address": "",
        "ssh_port": 22,
        "started_at": None,
        "reason": "",
    }
    inner = {name: request[name] for name in ("host_key", "subnet_id", "security_group_ids", "key_pair_id")}
    inner |= {"public_key": key.inner["public_key"], "action": "", "init_pid": 0, "init_started": 0}
    return Item(VM, face["id"], account, region, request["token"], face, inner)


def _check_host_key(text: str) -> None:
    try:
        asyncssh.import_private_key(text)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise CloudInvalidError("host_key is not an OpenSSH private key", field="host_key") from error
