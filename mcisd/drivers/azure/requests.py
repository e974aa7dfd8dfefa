"""Bodies of the requests that make a VM. Pure. In: a VM request and the ids of its parts. Out: JSON for Azure."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from mcisd.drivers.azure.names import DISK, sibling
from mcisd.drivers.firstboot import cloud_config
from mcisd.model.cloud import VmRequest
from mcisd.model.errors import CloudInvalidError

_RESERVED = {"root", "admin", "administrator", "user", "guest", "test", "sys", "actuser", "owner", "server", "support"}
_URN = re.compile(r"([\w.-]+):([\w.-]+):([\w.-]+):([\w.-]+)")
_OWN = re.compile(
    r"/subscriptions/[\w-]+/resourceGroups/[\w.()-]+/providers/Microsoft\.Compute/[\w/.-]+", re.IGNORECASE
)
_ZONE = re.compile(r"[0-9]{1,2}")


def urn_of(image_id: str) -> tuple[str, str, str, str] | None:
    """Publisher, offer, SKU and version of "Canonical:ubuntu-24_04-lts:server:24.04.2"; None if it is no URN."""
    found = _URN.fullmatch(image_id)
    return (found[1], found[2], found[3], found[4]) if found else None


def is_own_image(image_id: str) -> bool:
    """Whether this is the full id of an image in the account."""
    return _OWN.fullmatch(image_id) is not None and ".." not in image_id


def image_reference(image_id: str) -> dict[str, str]:
    urn = urn_of(image_id)
    if urn is not None:
        return dict(zip(("publisher", "offer", "sku", "version"), urn, strict=True))
    if is_own_image(image_id):
        return {"id": image_id}
    raise CloudInvalidError(
        f"image_id {image_id[:60]!r} is no image of Azure",
        field="image_id",
        remedy="give publisher:offer:sku:version, the full id of an image, or an alias such as ubuntu-24.04",
    )


def zones_of(zone: str | None) -> dict[str, list[str]]:
    if not zone:
        return {}
    if not _ZONE.fullmatch(zone):
        raise CloudInvalidError(
            f"zone {zone[:20]!r} is not a zone of Azure", field="zone", remedy="use 1, 2 or 3, or no zone"
        )
    return {"zones": [zone]}


def host_name(name: str) -> str:
    """A name that Linux and Azure take as a computer's."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")[:63] or "vm"


def admin_name(guest_user: str) -> str:
    """The user that Azure is told of: it refuses root and the like, which first boot then makes by itself."""
    return "azureuser" if guest_user.lower() in _RESERVED else guest_user


def ip_properties() -> dict[str, Any]:
    return {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4", "deleteOption": "Delete"}


def card_properties(subnet: str, address: str, group: str | None) -> dict[str, Any]:
    """A network card in ``subnet`` with a public address; both are full ids, and ``group`` that of its rules."""
    entry = {
        "name": "primary",
        "properties": {
            "primary": True,
            "privateIPAllocationMethod": "Dynamic",
            "subnet": {"id": subnet},
            "publicIPAddress": {"id": address, "properties": {"deleteOption": "Delete"}},
        },
    }
    return {"ipConfigurations": [entry]} | ({"networkSecurityGroup": {"id": group}} if group else {})


def vm_properties(
    request: VmRequest, name: str, card: str, image: Mapping[str, str], *, disk_type: str, hibernation: bool
) -> dict[str, Any]:
    """All of a VM. Disk and card go when it goes; its first-boot data holds the host key and is never given back."""
    user = admin_name(request.guest_user)
    ssh = {"publicKeys": [{"path": f"/home/{user}/.ssh/authorized_keys", "keyData": request.public_key}]}
    return {
        "hardwareProfile": {"vmSize": request.spec_id},
        "storageProfile": {
            "imageReference": dict(image),
            "osDisk": {
                "name": sibling(name, DISK),
                "createOption": "FromImage",
                "deleteOption": "Delete",
                "managedDisk": {"storageAccountType": disk_type},
            },
        },
        "osProfile": {
            "computerName": host_name(request.name),
            "adminUsername": user,
            "customData": base64.b64encode(cloud_config(request).encode()).decode(),
            "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": ssh},
        },
        "networkProfile": {
            "networkInterfaces": [{"id": card, "properties": {"primary": True, "deleteOption": "Delete"}}]
        },
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
    } | ({"additionalCapabilities": {"hibernationEnabled": True}} if hibernation else {})
