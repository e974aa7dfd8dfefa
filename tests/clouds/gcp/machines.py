"""Instances and disks of the stub. In: calls. Out: answers; what is accepted happens in short steps of real time."""

import asyncio
import ipaddress
import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.clouds.gcp import world
from tests.clouds.gcp.faces import Call, Json, Refusal, in_use, invalid, not_found
from tests.clouds.gcp.filters import matching
from tests.clouds.gcp.operations import ROOT, Effect, new_id, now
from tests.clouds.gcp.project import Handler, Project, fingerprint, short

STEP = 0.03
"""Seconds from one state to the next."""
SOON = 2 * STEP
_ADDRESSES = itertools.count(int(ipaddress.ip_address("198.51.0.10")))


@dataclass
class Machine:
    """An instance as shown, and the steps that are still to come."""

    item: Json
    steps: list[asyncio.TimerHandle] = field(default_factory=list)
    deleting: bool = False

    def go(self, *states: str) -> None:
        """Pass these states, the first one at once; a new way replaces an old one."""
        for step in self.steps:
            step.cancel()
        loop = asyncio.get_running_loop()
        self.item["status"] = states[0]
        self.steps = [loop.call_later(STEP * n, self._reach, state) for n, state in enumerate(states) if n]

    def _reach(self, state: str) -> None:
        self.item["status"] = state
        access = self.item["networkInterfaces"][0]["accessConfigs"][0]
        if state == "RUNNING":
            access.setdefault("natIP", str(ipaddress.ip_address(next(_ADDRESSES))))
            self.item["lastStartTimestamp"] = now()
        elif state == "TERMINATED":
            access.pop("natIP", None)


class MachineProject(Project):
    """A project with instances. ``no_capacity``, ``hide`` and ``show_dead`` are the troubles it knows."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.machines: dict[str, Machine] = {}
        self.disks: dict[str, Json] = {}
        self.no_capacity = False
        self.hide: set[str] | None = None
        self.show_dead = False
        self.unreachable: set[str] = set()
        self._graveyard: dict[str, Json] = {}

    def handlers(self) -> dict[str, Handler]:
        return {
            **super().handlers(),
            "instances.insert": self._new,
            "instances.get": lambda call: self._machine(call).item,
            "instances.aggregatedList": self._aggregated,
            "instances.delete": self._delete,
            "instances.start": self._start,
            "instances.stop": self._stop,
            "instances.suspend": self._suspend,
            "instances.resume": self._resume,
            "instances.reset": self._reset,
            "instances.getSerialPortOutput": self._console,
            "disks.aggregatedList": lambda call: self._scoped(call, "disks", list(self.disks.values())),
            "disks.delete": self._drop_disk,
        }

    def conceal(self, on: bool) -> None:
        """While on, lists do not show instances made from now on."""
        self.hide = set(self.machines) if on else None

    def users_of(self, link: str) -> list[str]:
        return [
            name
            for name, each in self.machines.items()
            if short(each.item["networkInterfaces"][0]["subnetwork"]) == link
        ]

    def usage(self, metric: str, region: str) -> float:
        here = [each.item for name, each in self.machines.items() if f"/zones/{region}-" in name]
        return float(sum(self._cpus(item) for item in here) if metric == "CPUS" else len(here))

    def _cpus(self, item: Json) -> int:
        zone, name = item["zone"].rpartition("/")[2], item["machineType"].rpartition("/")[2]
        return int((world.machine_type(name, zone, self.name) or {"guestCpus": 0})["guestCpus"])

    def _machine(self, call: Call) -> Machine:
        link = self.link(f"zones/{call.zone}/instances/{call.path['instance']}")
        if link not in self.machines:
            raise not_found(link)
        return self.machines[link]

    def _new(self, call: Call) -> Json:
        zone, body = self._zone(call), call.body
        link = self.link(f"zones/{zone}/instances/{body['name']}")
        self._is_free({name: each.item for name, each in self.machines.items()}, link)
        item = self._item(body, zone, link)
        self._admit(item, zone.rpartition("-")[0])
        machine = self.machines[link] = Machine(item)
        self._new_disk(item, body["disks"][0], zone)
        if self.no_capacity:
            machine.go("PROVISIONING")
            return self.operations.begin(call, "insert", link, SOON, lambda: self._no_room(link, zone))
        machine.go("PROVISIONING", "STAGING", "RUNNING")
        return self.operations.begin(call, "insert", link, SOON, lambda: None)

    def _no_room(self, link: str, zone: str) -> Refusal:
        self._gone(link)
        text = f"The zone '{zone}' does not have enough resources available to fulfill the request."
        return Refusal(503, "ZONE_RESOURCE_POOL_EXHAUSTED", text)

    def _admit(self, item: Json, region: str) -> None:
        wanted = {"INSTANCES": 1.0, "CPUS": float(self._cpus(item)), "IN_USE_ADDRESSES": 1.0}
        for metric, more in wanted.items():
            limit = self.limits[metric]
            if self.usage(metric, region) + more > limit:
                raise Refusal(403, "quotaExceeded", f"Quota '{metric}' exceeded.  Limit: {limit} in region {region}.")

    def _item(self, body: Json, zone: str, link: str) -> Json:
        kind = body["machineType"].rpartition("/")[2]
        if world.machine_type(kind, zone, self.name) is None:
            why = f"Machine type with name '{kind}' does not exist in zone '{zone}'."
            raise invalid("resource.machineType", body["machineType"], why)
        wanted = body["networkInterfaces"][0]
        self.network_of(wanted["network"])
        subnet = self.subnets.get(short(wanted["subnetwork"]))
        if subnet is None:
            raise not_found(wanted["subnetwork"])
        if short(subnet["network"]) != short(wanted["network"]):
            raise invalid("resource.networkInterfaces[0]", wanted["subnetwork"], "It is in another network.")
        hosts = ipaddress.ip_network(subnet["ipCidrRange"])
        taken = {each.item["networkInterfaces"][0]["networkIP"] for each in self.machines.values()}
        address = next(str(hosts[n]) for n in range(2, 250) if str(hosts[n]) not in taken)
        card = {
            "name": "nic0", "network": f"{ROOT}/{wanted['network']}", "subnetwork": f"{ROOT}/{wanted['subnetwork']}",
            "networkIP": address, "fingerprint": fingerprint(address),
            "accessConfigs": [{"kind": "compute#accessConfig", **wanted["accessConfigs"][0]}],
        }  # fmt: skip
        root = f"{ROOT}/{self.link(f'zones/{zone}')}"
        return {
            "kind": "compute#instance", "id": new_id(), "name": body["name"], "zone": root, "status": "PROVISIONING",
            "machineType": f"{root}/machineTypes/{kind}", "creationTimestamp": now(), "networkInterfaces": [card],
            "labels": body.get("labels", {}), "labelFingerprint": fingerprint(body.get("labels")),
            "tags": {**body.get("tags", {}), "fingerprint": fingerprint(body.get("tags"))},
            "metadata": {**body.get("metadata", {}), "kind": "compute#metadata", "fingerprint": fingerprint(link)},
            "disks": [{"boot": True, "autoDelete": body["disks"][0].get("autoDelete", False), "deviceName": "boot",
                       "source": f"{root}/disks/{body['name']}"}],
            "selfLink": f"{ROOT}/{link}",
        }  # fmt: skip

    def _new_disk(self, item: Json, wanted: Json, zone: str) -> None:
        fresh = wanted["initializeParams"]
        if fresh["sourceImage"] not in self.images:
            del self.machines[short(item["selfLink"])]
            raise not_found(fresh["sourceImage"])
        link = short(item["disks"][0]["source"])
        self.disks[link] = {
            "kind": "compute#disk", "id": new_id(), "name": item["name"], "zone": item["zone"], "status": "READY",
            "sizeGb": "10", "sourceImage": f"{ROOT}/{fresh['sourceImage']}", "labels": fresh.get("labels", {}),
            "selfLink": f"{ROOT}/{link}", "users": [item["selfLink"]],
        }  # fmt: skip

    def _aggregated(self, call: Call) -> Json:
        shown = [each.item for name, each in self.machines.items() if self.hide is None or name in self.hide]
        if self.show_dead:
            shown += [item for name, item in self._graveyard.items() if name not in self.machines]
        return self._scoped(call, "instances", shown)

    def _scoped(self, call: Call, kind: str, items: list[Json]) -> Json:
        """A page of a list over all zones; zones without a match say so, as Google's do."""
        found = sorted(matching(call.query.get("filter", ""), items), key=lambda item: str(item["selfLink"]))
        size = min(int(call.query.get("maxResults", 500)), self.page_size)
        start = int(call.query.get("pageToken", "0"))
        empty = {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for this scope on this page."}
        scopes: Json = {f"zones/{zone}": {"warning": empty} for zone in world.ZONES["asia-northeast3"]}
        for zone in self.unreachable:
            lost = {"code": "UNREACHABLE", "message": "The scope is unreachable."}
            scopes[f"zones/{zone}"] = {"warning": lost}
        found = [item for item in found if item["zone"].rpartition("/")[2] not in self.unreachable]
        for item in found[start : start + size]:
            scope = f"zones/{item['zone'].rpartition('/')[2]}"
            if kind not in scopes.setdefault(scope, {}):
                scopes[scope] = {kind: []}
            scopes[scope][kind].append(item)
        more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        return {"kind": f"compute#{kind.removesuffix('s')}AggregatedList", "id": kind, "items": scopes, **more}

    def _delete(self, call: Call) -> Json:
        machine = self._machine(call)
        link = short(machine.item["selfLink"])
        machine.deleting = True
        machine.go("STOPPING")
        return self.operations.begin(call, "delete", link, SOON, lambda: self._gone(link))

    def _gone(self, link: str) -> None:
        machine = self.machines.pop(link, None)
        if machine is None:
            return
        machine.go("STOPPING")
        self._graveyard[link] = {**machine.item, "status": "STOPPING"}
        for disk in machine.item["disks"]:
            if disk["autoDelete"]:
                self.disks.pop(short(disk["source"]), None)

    def remove_by_hand(self, name: str) -> None:
        """As somebody does in the console; the VM is gone at once."""
        self._gone(next(link for link in self.machines if link.endswith(f"/{name}")))

    def _act(self, call: Call, allowed: str, *states: str) -> Json:
        """Change state along a way, if the state is one of those allowed; the last of the way is nothing to do."""
        machine = self._machine(call)
        status, link = machine.item["status"], short(machine.item["selfLink"])
        effect: Effect = lambda: None  # noqa: E731 - it has a type this way
        if machine.deleting or status not in (*allowed.split(), states[-1]):
            raise Refusal(400, "resourceNotReady", f"The resource '{link}' is not ready")
        if status != states[-1]:
            machine.go(*states)
        return self.operations.begin(call, call.method.partition(".")[2], link, STEP * len(states), effect)

    def _start(self, call: Call) -> Json:
        return self._act(call, "TERMINATED", "PROVISIONING", "STAGING", "RUNNING")

    def _stop(self, call: Call) -> Json:
        return self._act(call, "RUNNING PROVISIONING STAGING", "STOPPING", "TERMINATED")

    def _suspend(self, call: Call) -> Json:
        return self._act(call, "RUNNING", "SUSPENDING", "SUSPENDED")

    def _resume(self, call: Call) -> Json:
        return self._act(call, "SUSPENDED", "PROVISIONING", "STAGING", "RUNNING")

    def _reset(self, call: Call) -> Json:
        return self._act(call, "RUNNING", "RUNNING")

    def _console(self, call: Call) -> Json:
        text = f"[    0.000000] Linux version 6.1.0-cloud-amd64 on {self._machine(call).item['name']}\n"
        start = int(call.query.get("start", "0"))
        begin = max(0, len(text) + start) if start < 0 else start
        answer: dict[str, Any] = {"contents": text[begin:], "start": str(begin), "next": str(len(text))}
        return {"kind": "compute#serialPortOutput", "selfLink": "", **answer}

    def _drop_disk(self, call: Call) -> Json:
        link = self.link(f"zones/{call.zone}/disks/{call.path['disk']}")
        if link not in self.disks:
            raise not_found(link)
        for user in self.disks[link]["users"]:
            if short(user) in self.machines:
                raise in_use(link, short(user))
        return self.operations.begin(call, "delete", link, STEP, lambda: self._forget(self.disks, link))
