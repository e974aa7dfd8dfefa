"""Microsoft.Compute. In: what a client asks of VMs. Out: their bodies, instance views and power states, or refusals."""

from tests.clouds.azure.arm import Arm, ArmError, Item, Json, copied, guid, stamp
from tests.clouds.azure.catalogue import ZONES, exact_version, sizes

MACHINES = "Microsoft.Compute/virtualMachines"
DISKS = "Microsoft.Compute/disks"
KEYS = "Microsoft.Compute/sshPublicKeys"
CARDS = "Microsoft.Network/networkInterfaces"
RESERVED = {"root", "admin", "administrator", "user", "guest"}


def put_machine(arm: Arm, group: str, name: str, body: Json, if_none_match: str) -> tuple[Item, bool]:
    """The VM, and whether it is new."""
    arm.group(group)
    known = arm.find(arm.id_of(group, MACHINES, name))
    if known is not None:
        if if_none_match == "*":
            raise ArmError(412, "PreconditionFailed", f"The resource {known.id} exists already.")
        if known.facts["provisioningState"] == "Deleting":
            raise ArmError(409, "OperationNotAllowed", f"VM '{name}' is marked for deletion.")
        return known, False
    _judge(arm, name, body)
    item = Item(
        {
            "name": name,
            "id": arm.id_of(group, MACHINES, name),
            "type": MACHINES,
            "location": body["location"],
            "properties": _machine(body),
        },
        custom_data=body["properties"]["osProfile"].get("customData", ""),
    )
    for extra in ("tags", "zones"):
        if body.get(extra):
            item.body[extra] = copied(body[extra])
    for card in item.facts["networkProfile"]["networkInterfaces"]:
        found = arm.find(card["id"])
        if found is not None:
            found.facts["virtualMachine"] = {"id": item.id}
    _make_disk(arm, item)
    return arm.add(item), True


def _judge(arm: Arm, name: str, body: Json) -> None:
    """What Azure refuses before it begins."""
    facts = body["properties"]
    size = facts["hardwareProfile"]["vmSize"]
    known = sizes(body["location"])
    if size not in known:
        raise ArmError(400, "InvalidParameter", f"The value {size} provided for the VM size is not valid.")
    for zone in body.get("zones") or []:
        if zone not in ZONES:
            raise ArmError(400, "InvalidAvailabilityZone", f"The zone '{zone}' is not supported in this location.")
    if facts["osProfile"]["adminUsername"].lower() in RESERVED:
        raise ArmError(400, "InvalidParameter", "The Admin Username specified is not allowed.")
    if size in known and cores_used(arm) + known[size] > arm.cores:
        raise ArmError(
            409,
            "OperationNotAllowed",
            "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. "
            f"Additional details - Location: {body['location']}, Current Limit: {arm.cores}, "
            f"Current Usage: {cores_used(arm)}, Additional Required: {known[size]}.",
        )
    for card in facts["networkProfile"]["networkInterfaces"]:
        found = arm.find(card["id"])
        if found is None:
            raise ArmError(400, "InvalidParameter", f"Resource {card['id']} was not found.")
        if "virtualMachine" in found.facts:
            raise ArmError(400, "NicInUse", f"Network Interface {found.id} is used by an existing VM.")


def cores_used(arm: Arm) -> int:
    machines = [item for item in arm.items.values() if item.kind == MACHINES.lower() and item.power != "deallocated"]
    return sum(sizes(str(i.body["location"])).get(i.facts["hardwareProfile"]["vmSize"], 0) for i in machines)


def _machine(body: Json) -> Json:
    """The properties Azure keeps: secrets and first-boot data are not among them."""
    facts = copied(body["properties"])
    image = facts["storageProfile"]["imageReference"]
    if "publisher" in image:
        image["exactVersion"] = exact_version(body["location"], image)
    disk = facts["storageProfile"].get("osDisk") or {"createOption": "FromImage"}
    facts["storageProfile"] = {"imageReference": image, "osDisk": _disk(disk), "dataDisks": []}
    profile = facts["osProfile"]
    for secret in ("customData", "adminPassword"):
        profile.pop(secret, None)
    linux = profile.setdefault("linuxConfiguration", {})
    linux.setdefault("disablePasswordAuthentication", False)
    linux["provisionVMAgent"] = True
    profile |= {"secrets": [], "allowExtensionOperations": True, "requireGuestProvisionSignal": True}
    return {"vmId": guid(), **facts, "provisioningState": "Creating", "timeCreated": stamp()}


def _disk(disk: Json) -> Json:
    """A disk as the first answer shows it: a managed one gets its id, and an own one its size, when the VM is made."""
    kept: Json = {"osType": "Linux", "caching": disk.pop("caching", "ReadWrite"), **disk}
    if "vhd" in disk:
        return kept
    storage = disk.get("managedDisk", {}).get("storageAccountType", "Standard_LRS")
    return kept | {"managedDisk": {"storageAccountType": storage}, "diskSizeGB": 30}


def _make_disk(arm: Arm, item: Item) -> None:
    """The disk itself, there from the beginning of the creation."""
    facts = item.facts["storageProfile"]["osDisk"]
    if "vhd" in facts:
        return
    name = facts.get("name") or f"{item.name}_OsDisk_1_{guid().replace('-', '')}"
    head = item.id.partition("/providers/")[0]
    body = {
        "name": name,
        "id": f"{head}/providers/{DISKS}/{name}",
        "type": DISKS,
        "location": item.body["location"],
        "properties": {"provisioningState": "Succeeded", "diskState": "Attached"},
    }
    item.disk = arm.add(Item(body)).id


def created(arm: Arm, item: Item) -> None:
    """The end of a creation: it runs, or it failed after all."""
    if arm.fail_next is not None:
        item.failure, arm.fail_next = arm.fail_next, None
        item.facts["provisioningState"] = "Failed"
        return
    item.facts["provisioningState"], item.power = "Succeeded", "running"
    disk = item.facts["storageProfile"]["osDisk"]
    disk["diskSizeGB"] = 30
    if item.disk:
        disk["name"] = item.disk.rpartition("/")[2]
        disk["managedDisk"]["id"] = item.disk


def deleted(arm: Arm, item: Item) -> None:
    """The end of a deletion takes along what says ``deleteOption`` Delete."""
    arm.remove(item.id)
    if item.disk and item.facts["storageProfile"]["osDisk"].get("deleteOption") == "Delete":
        arm.remove(item.disk)
    for entry in item.facts["networkProfile"]["networkInterfaces"]:
        card = arm.find(entry["id"])
        if card is None:
            continue
        card.facts.pop("virtualMachine", None)
        if (entry.get("properties") or {}).get("deleteOption") != "Delete":
            continue
        arm.remove(card.id)
        for part in card.facts["ipConfigurations"]:
            public = part["properties"].get("publicIPAddress") or {}
            if (public.get("properties") or {}).get("deleteOption") == "Delete":
                arm.remove(public["id"])


def act(item: Item, action: str, hibernate: bool) -> tuple[str, str]:
    """Power state now, and at the end of the operation; ArmError if Azure does not do that."""
    if item.facts["provisioningState"] == "Deleting":
        raise ArmError(
            409, "OperationNotAllowed", f"Operation '{action}' is not allowed: VM '{item.name}' is being deleted."
        )
    if action == "start":
        return ("running", "running") if item.power == "running" else ("starting", "running")
    if action == "restart":
        if item.power != "running":
            raise ArmError(
                409, "OperationNotAllowed", f"Operation 'restart' is not allowed on VM '{item.name}': not running."
            )
        return "running", "running"
    if action == "powerOff":
        return "stopping", "stopped"
    if hibernate and not (item.facts.get("additionalCapabilities") or {}).get("hibernationEnabled"):
        raise ArmError(409, "OperationNotAllowed", f"Hibernation is not enabled on VM '{item.name}'.")
    return ("deallocated", "deallocated") if item.power == "deallocated" else ("deallocating", "deallocated")


def view(item: Item) -> Json:
    """The instance view."""
    state = str(item.facts["provisioningState"]).lower()
    first: Json = {"code": f"ProvisioningState/{state}", "level": "Info", "displayStatus": f"Provisioning {state}"}
    if state in ("succeeded", "failed"):
        first["time"] = stamp()
    if item.failure is not None:
        code, message = item.failure
        first |= {"code": f"ProvisioningState/failed/{code}", "level": "Error", "message": message}
    statuses = [first]
    if item.power:
        statuses.append({"code": f"PowerState/{item.power}", "level": "Info", "displayStatus": f"VM {item.power}"})
    if item.hibernated:
        statuses.append({"code": "HibernationState/Hibernated", "level": "Info", "displayStatus": "Hibernated"})
    disk = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "time": stamp(),
    }
    agent = {
        "code": "ProvisioningState/Unavailable",
        "level": "Warning",
        "displayStatus": "Not Ready",
        "message": "",
        "time": stamp(),
    }
    return {
        "vmAgent": {"vmAgentVersion": "Unknown", "statuses": [agent]},
        "disks": [{"name": item.facts["storageProfile"]["osDisk"].get("name", ""), "statuses": [disk]}],
        "hyperVGeneration": "V1",
        "statuses": statuses,
    }


def shown(item: Item, *, expand: bool) -> Json:
    body = copied(item.body)
    if expand:
        body["properties"]["instanceView"] = view(item)
    return body


def status_row(item: Item) -> Json:
    """One row of the list of states. Our reading: no tags, and the group in capitals, as Azure is known for."""
    head, _, tail = item.id.partition("/resourceGroups/")
    group, _, rest = tail.partition("/")
    return {
        "name": item.name,
        "id": f"{head}/resourceGroups/{group.upper()}/{rest}",
        "type": MACHINES,
        "location": item.body["location"],
        "properties": {
            "vmId": item.facts["vmId"],
            "provisioningState": item.facts["provisioningState"],
            "instanceView": {"statuses": view(item)["statuses"]},
        },
    }


def put_key(arm: Arm, group: str, name: str, body: Json) -> tuple[Item, bool]:
    """An SSH public key; at once."""
    arm.group(group)
    known = arm.find(arm.id_of(group, KEYS, name))
    line = (body.get("properties") or {}).get("publicKey", "")
    if not line.startswith(("ssh-rsa ", "ssh-ed25519 ")):
        raise ArmError(400, "InvalidParameter", "The public key is not valid.")
    made = {
        "name": name,
        "id": arm.id_of(group, KEYS, name),
        "type": KEYS,
        "location": body["location"],
        "tags": copied(body.get("tags") or {}),
        "properties": {"publicKey": line},
    }
    return arm.add(Item(made)), known is None
