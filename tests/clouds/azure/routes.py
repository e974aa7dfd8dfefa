"""Which request does what. In: method, path and body, as the resource manager gets them. Out: status, headers, body."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.clouds.azure import catalogue, compute, network
from tests.clouds.azure.arm import Arm, ArmError, Item, Json, Operation

VERSION = "2026-04-01"


@dataclass
class Reply:
    status: int
    body: Json | list[Json] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Ask:
    """One request. ``words`` follow the provider: types and names in turn; all in small letters but the names."""

    arm: Arm
    url: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    group: str = ""
    provider: str = ""
    words: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> str:
        """The types, as "virtualmachines/start"."""
        return "/".join(word.lower() for word in self.words[::2])

    @property
    def name(self) -> str:
        return self.words[1]

    @property
    def full_kind(self) -> str:
        return f"{self.provider}/{self.words[0]}"

    @property
    def region(self) -> str:
        return str(self.body.get("location", "koreacentral"))


def answer(
    arm: Arm, url: str, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: Json
) -> Reply:
    """Raises ArmError for a refusal."""
    ask = Ask(arm, url, method, path, query, headers, body)
    parts = path.strip("/").split("/")
    if parts[0].lower() != "subscriptions" or len(parts) < 2:
        raise ArmError(404, "NotFound", "No such path.")
    if parts[1].lower() != arm.subscription.lower():
        raise ArmError(404, "SubscriptionNotFound", f"The subscription '{parts[1]}' could not be found.")
    if "api-version" not in query:
        raise ArmError(
            400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required."
        )
    rest = parts[2:]
    if rest and rest[0].lower() == "resourcegroups":
        if len(rest) == 2:
            return _group(ask, rest[1])
        ask.group, rest = rest[1], rest[2:]
        if rest == ["resources"]:
            return _page(ask, [_brief(item) for item in arm.listed(group=ask.group)])
    if rest == ["locations"]:
        return Reply(200, {"value": catalogue.places(arm.subscription)})
    if rest[0].lower() != "providers" or len(rest) < 3:
        raise ArmError(404, "InvalidResourceType", "The resource type could not be found.")
    ask.provider, ask.words = rest[1], rest[2:]
    return _resource(ask)


def _group(ask: Ask, name: str) -> Reply:
    groups = ask.arm.groups
    if ask.method == "PUT":
        status = 200 if name.lower() in groups else 201
        groups[name.lower()] = {
            "id": f"/subscriptions/{ask.arm.subscription}/resourceGroups/{name}",
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": ask.region,
            "tags": ask.body.get("tags") or {},
            "properties": {"provisioningState": "Succeeded"},
        }
        return Reply(status, groups[name.lower()])
    return Reply(200, ask.arm.group(name))


def _resource(ask: Ask) -> Reply:
    if ask.words[0].lower() == "locations":
        return _location(ask)
    if ask.provider == "Microsoft.Compute":
        known: dict[str, Callable[[Ask], Reply]] = {"virtualmachines": _machines, "sshpublickeys": _keys, "skus": _skus}
        handler = known.get(ask.words[0].lower(), _others)
        return handler(ask)
    return _networks(ask)


def _location(ask: Ask) -> Reply:
    region = ask.words[1]
    match ask.kinds.split("/")[1:]:
        case ["operations" | "diskoperations"]:
            return _operation(ask, ask.words[3])
        case ["usages"]:
            return _page(ask, _usages(ask))
        case ["publishers", "artifacttypes", "offers", "skus", "versions"]:
            source = (ask.words[3], ask.words[7], ask.words[9])
            if len(ask.words) == 11:
                return Reply(200, catalogue.versions(ask.arm.subscription, region, *source))
            facts = catalogue.version_facts(*source, ask.words[11])
            head = catalogue.version_body(ask.arm.subscription, region, *source, ask.words[11])
            return Reply(200, head | {"properties": facts})
    raise ArmError(404, "InvalidResourceType", f"{ask.kinds} could not be found.")


def _usages(ask: Ask) -> list[Json]:
    arm = ask.arm

    def count(kind: str) -> int:
        return sum(1 for item in arm.items.values() if item.kind == kind.lower())

    if ask.provider == "Microsoft.Compute":
        return [
            catalogue.usage("availabilitySets", "Availability Sets", 0, 2500),
            catalogue.usage("cores", "Total Regional vCPUs", compute.cores_used(arm), arm.cores),
            catalogue.usage("virtualMachines", "Virtual Machines", count(compute.MACHINES), 25000),
            catalogue.usage("standardBSFamily", "Standard BS Family vCPUs", 0, 100),
        ]
    return [
        catalogue.usage("VirtualNetworks", "Virtual Networks", count(network.NETWORKS), 1000),
        catalogue.usage("NetworkSecurityGroups", "Network Security Groups", count(network.GROUPS), 5000),
        catalogue.usage("PublicIPAddresses", "Public IP Addresses", count(network.ADDRESSES), 1000),
    ]


def _operation(ask: Ask, operation_id: str) -> Reply:
    """The state of an operation. Compute names it and tells its times, Network only its state: so it is recorded."""
    found = ask.arm.operations.get(operation_id)
    if found is None:
        raise ArmError(404, "NotFound", "The entity was not found.")
    if ask.query.get("monitor"):
        return Reply(204 if found.ended else 202)
    state = ("Failed" if found.error else "Succeeded") if found.ended else "InProgress"
    body: Json = {"status": state}
    if ask.provider == "Microsoft.Compute":
        body = {"startTime": found.begun, **({"endTime": found.ended} if found.ended else {}), **body, "name": found.id}
    return Reply(200, body | ({"error": found.error} if found.error else {}))


def _begun(ask: Ask, operation: Operation, region: str, *, monitor: bool) -> dict[str, str]:
    """Headers of an answer that began an operation; ``monitor`` where Azure gives the second address, too."""
    place = f"{ask.url}/subscriptions/{ask.arm.subscription}/providers/{ask.provider}/locations/{region}"
    base = f"{place}/operations/{operation.id}"
    version = ask.query["api-version"]
    headers = {"Azure-AsyncOperation": f"{base}?api-version={version}"}
    return headers | ({"Location": f"{base}?monitor=true&api-version={version}"} if monitor else {})


def _networks(ask: Ask) -> Reply:
    arm, kind = ask.arm, ask.full_kind
    if len(ask.words) == 1:
        return _page(ask, [item.body for item in arm.listed(kind, ask.group)])
    if len(ask.words) == 4 and ask.words[2].lower() == "subnets":
        return _subnet(ask)
    if ask.method == "PUT":
        new = arm.find(arm.id_of(ask.group, kind, ask.name)) is None
        item = network.put(arm, kind, ask.name, ask.group, ask.body)
        operation = arm.begin(ask.provider, lambda: network.ready(item), item)
        return Reply(201 if new else 200, item.body, _begun(ask, operation, ask.region, monitor=False))
    if ask.method == "DELETE":
        return _delete_network(ask, kind)
    return Reply(200, arm.get(ask.group, kind, ask.name).body)


def _delete_network(ask: Ask, kind: str) -> Reply:
    arm = ask.arm
    arm.group(ask.group)
    item = arm.find(arm.id_of(ask.group, kind, ask.name))
    if item is None:
        return Reply(204)
    network.check_delete(arm, item)
    item.facts["provisioningState"] = "Deleting"
    operation = arm.begin(ask.provider, lambda: arm.remove(item.id), item)
    return Reply(202, None, _begun(ask, operation, str(item.body["location"]), monitor=True))


def _subnet(ask: Ask) -> Reply:
    parent = ask.arm.get(ask.group, ask.full_kind, ask.name)
    for subnet in parent.facts["subnets"]:
        if subnet["name"].lower() == ask.words[3].lower():
            return Reply(200, subnet)
    raise ArmError(404, "NotFound", f"Resource {ask.words[3]} not found.")


def _machines(ask: Ask) -> Reply:
    arm = ask.arm
    if len(ask.words) == 1:
        if ask.query.get("statusOnly") == "true":
            return _page(ask, [compute.status_row(item) for item in arm.listed(ask.full_kind)])
        return _page(ask, [compute.shown(item, expand=False) for item in arm.listed(ask.full_kind, ask.group)])
    if ask.method == "PUT":
        item, new = compute.put_machine(arm, ask.group, ask.name, ask.body, ask.headers.get("If-None-Match", ""))
        if not new:
            return Reply(200, compute.shown(item, expand=False))
        begun = arm.begin(ask.provider, lambda: compute.created(arm, item), item)
        return Reply(201, compute.shown(item, expand=False), _begun(ask, begun, ask.region, monitor=False))
    if ask.method == "DELETE":
        return _delete_machine(ask)
    item = arm.get(ask.group, ask.full_kind, ask.name)
    if ask.method == "POST":
        return _act(ask, item, ask.words[2])
    if len(ask.words) == 3 and ask.words[2].lower() == "instanceview":
        return Reply(200, compute.view(item))
    return Reply(200, compute.shown(item, expand=ask.query.get("$expand") == "instanceView"))


def _delete_machine(ask: Ask) -> Reply:
    arm = ask.arm
    arm.group(ask.group)
    item = arm.find(arm.id_of(ask.group, ask.full_kind, ask.name))
    if item is None:
        return Reply(204)
    item.facts["provisioningState"] = "Deleting"
    begun = arm.begin(ask.provider, lambda: compute.deleted(arm, item), item)
    return Reply(202, None, _begun(ask, begun, str(item.body["location"]), monitor=True))


def _act(ask: Ask, item: Item, action: str) -> Reply:
    if action == "retrieveBootDiagnosticsData":
        sign = urlencode({"sv": "2024", "sig": "secret-signature"})
        blob = f"{ask.url}/console/{item.name}?{sign}"
        return Reply(200, {"consoleScreenshotBlobUri": blob, "serialConsoleLogBlobUri": blob})
    hibernate = ask.query.get("hibernate", "").lower() == "true"
    item.power, end = compute.act(item, action, hibernate)

    def finish() -> None:
        item.power, item.hibernated = end, hibernate and end == "deallocated"
        item.facts["provisioningState"] = "Succeeded"

    begun = ask.arm.begin(ask.provider, finish, item)
    return Reply(202, None, _begun(ask, begun, str(item.body["location"]), monitor=True))


def _keys(ask: Ask) -> Reply:
    arm = ask.arm
    if len(ask.words) == 1:
        return _page(ask, [item.body for item in arm.listed(ask.full_kind, ask.group)])
    if ask.method == "PUT":
        item, new = compute.put_key(arm, ask.group, ask.name, ask.body)
        return Reply(201 if new else 200, item.body)
    if ask.method == "DELETE":
        arm.group(ask.group)
        known = arm.find(arm.id_of(ask.group, ask.full_kind, ask.name))
        arm.remove(arm.id_of(ask.group, ask.full_kind, ask.name))
        return Reply(200 if known else 204)
    return Reply(200, arm.get(ask.group, ask.full_kind, ask.name).body)


def _skus(ask: Ask) -> Reply:
    region = ask.query.get("$filter", "location eq 'koreacentral'").split("'")[1]
    return _page(ask, catalogue.skus(region))


def _others(ask: Ask) -> Reply:
    """Disks and the account's own images: listed, and taken away."""
    arm = ask.arm
    if len(ask.words) == 1:
        return _page(ask, [item.body for item in arm.listed(ask.full_kind, ask.group)])
    if ask.method != "DELETE":
        return Reply(200, arm.get(ask.group, ask.full_kind, ask.name).body)
    arm.group(ask.group)
    item = arm.find(arm.id_of(ask.group, ask.full_kind, ask.name))
    if item is None:
        return Reply(204)
    users = arm.using(item.id, compute.MACHINES)
    if users:
        raise ArmError(409, "OperationNotAllowed", f"Disk {item.name} is attached to VM {users[0].id}.")
    begun = arm.begin(ask.provider, lambda: arm.remove(item.id), item)
    return Reply(202, None, _begun(ask, begun, str(item.body["location"]), monitor=True))


def _brief(item: Item) -> Json:
    """A resource in the list of a group's resources."""
    return {key: item.body[key] for key in ("id", "name", "type", "location", "tags") if key in item.body}


def _page(ask: Ask, rows: list[Json]) -> Reply:
    skip = int(ask.query.get("$skiptoken", "0"))
    body: Json = {"value": rows[skip : skip + ask.arm.page]}
    if skip + ask.arm.page < len(rows):
        query = {**ask.query, "$skiptoken": str(skip + ask.arm.page)}
        body["nextLink"] = f"{ask.url}{ask.path}?{urlencode(query)}"
    return Reply(200, body)
