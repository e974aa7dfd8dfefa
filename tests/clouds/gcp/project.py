"""One project of the stub: networks, firewalls, metadata, limits, images. In: calls. Out: answers, or Refusal.

It does what the driver needs Google to do, in Google's words; the server holds each answer to Google's document.
"""

import base64
import hashlib
import ipaddress
import json
from collections.abc import Callable, Iterable

from tests.clouds.gcp import world
from tests.clouds.gcp.faces import Call, Json, Refusal, in_use, invalid, not_found
from tests.clouds.gcp.filters import matching
from tests.clouds.gcp.operations import ROOT, Operations, new_id, now

QUICK = 0.02
"""Seconds until a network, subnetwork or firewall is there."""
Handler = Callable[[Call], Json]


def fingerprint(value: object) -> str:
    return base64.b64encode(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:8]).decode()


def short(link: str) -> str:
    """A link as Google names it in messages: projects/…"""
    return link.removeprefix(f"{ROOT}/")


class Project:
    """State and handlers by method; machines.py adds those of instances. Belongs to the server's loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.operations = Operations(name)
        self.networks: dict[str, Json] = {}
        self.subnets: dict[str, Json] = {}
        self.firewalls: dict[str, Json] = {}
        self.metadata: Json = {"kind": "compute#metadata", "items": [], "fingerprint": fingerprint([])}
        self.images: dict[str, Json] = world.public_images()
        self.limits = {"INSTANCES": 100.0, "CPUS": 200.0, "IN_USE_ADDRESSES": 100.0}
        self.page_size = 500

    def link(self, path: str) -> str:
        return f"projects/{self.name}/{path}"

    def handlers(self) -> dict[str, Handler]:
        return {
            "regions.get": self._region,
            "regions.list": lambda call: self.page(call, [self._region_of(name) for name in world.REGIONS]),
            "projects.get": self._project,
            "projects.setCommonInstanceMetadata": self._set_metadata,
            "machineTypes.list": self._machine_types,
            "machineTypes.get": self._machine_type,
            "images.get": lambda call: self._image(
                f"projects/{call.path['project']}/global/images/{call.path['image']}"
            ),
            "images.getFromFamily": lambda call: self._image(
                f"projects/{call.path['project']}/global/images/family/{call.path['family']}"
            ),
            "images.list": lambda call: self.page(call, self._own_images()),
            "networks.insert": self._new_network,
            "networks.get": lambda call: self._get(self.networks, self.link(f"global/networks/{call.path['network']}")),
            "networks.list": lambda call: self.page(call, self._shown_networks()),
            "networks.delete": self._drop_network,
            "subnetworks.insert": self._new_subnet,
            "subnetworks.get": lambda call: self._get(self.subnets, self._subnet(call)),
            "subnetworks.list": lambda call: self.page(call, self._subnets_in(call.region)),
            "subnetworks.delete": self._drop_subnet,
            "firewalls.insert": self._new_firewall,
            "firewalls.get": lambda call: self._get(self.firewalls, self._firewall(call)),
            "firewalls.list": lambda call: self.page(call, self.firewalls.values()),
            "firewalls.delete": self._drop_firewall,
            "globalOperations.get": self.operations.get,
            "regionOperations.get": self.operations.get,
            "zoneOperations.get": self.operations.get,
        }

    def users_of(self, link: str) -> list[str]:
        """Links of instances that a network or subnetwork is used by; machines.py knows them."""
        return []

    def page(self, call: Call, items: Iterable[Json]) -> Json:
        """One page of a list, as its answer."""
        found = matching(call.query.get("filter", ""), items)
        size = min(int(call.query.get("maxResults", 500)), self.page_size)
        start = int(call.query.get("pageToken", "0"))
        more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        kind = call.method.partition(".")[0]
        return {
            "kind": f"compute#{kind.removesuffix('s')}List",
            "id": self.link(kind),
            "items": found[start : start + size],
            **more,
        }

    def network_of(self, text: str) -> Json:
        """A network by link or part of one, once it is ready."""
        found = self._get(self.networks, short(text))
        if found.get("_making"):
            raise Refusal(400, "resourceNotReady", f"The resource '{short(text)}' is not ready")
        return found

    @staticmethod
    def _get(kept: dict[str, Json], link: str) -> Json:
        if link not in kept:
            raise not_found(link)
        return kept[link]

    def _region_of(self, name: str) -> Json:
        quotas = [
            {"metric": metric, "limit": limit, "usage": self.usage(metric, name)}
            for metric, limit in self.limits.items()
        ]
        return world.region(name, self.name, quotas)

    def usage(self, metric: str, region: str) -> float:
        return 0.0

    def _region(self, call: Call) -> Json:
        if call.region not in world.ZONES:
            raise not_found(self.link(f"regions/{call.region}"))
        return self._region_of(call.region)

    def _project(self, call: Call) -> Json:
        quotas = [
            {"metric": "NETWORKS", "limit": 15.0, "usage": float(len(self.networks))},
            {"metric": "FIREWALLS", "limit": 200.0, "usage": float(len(self.firewalls))},
        ]
        return {
            "kind": "compute#project", "id": "987654321", "name": self.name, "quotas": quotas,
            "commonInstanceMetadata": self.metadata, "selfLink": f"{ROOT}/projects/{self.name}",
        }  # fmt: skip

    def _set_metadata(self, call: Call) -> Json:
        if call.body.get("fingerprint") != self.metadata["fingerprint"]:
            raise Refusal(412, "conditionNotMet", "Supplied fingerprint does not match current metadata fingerprint.")
        items = call.body.get("items", [])
        self.metadata = {"kind": "compute#metadata", "items": items, "fingerprint": fingerprint([items, new_id()])}
        return self.operations.begin(call, "setMetadata", f"projects/{self.name}", QUICK, lambda: None)

    def _zone(self, call: Call) -> str:
        if not any(call.zone in zones for zones in world.ZONES.values()):
            raise invalid("zone", call.zone, "Unknown zone.")
        return call.zone

    def _machine_types(self, call: Call) -> Json:
        return self.page(call, world.machine_types(self._zone(call), self.name))

    def _machine_type(self, call: Call) -> Json:
        found = world.machine_type(call.path["machineType"], self._zone(call), self.name)
        if found is None:
            raise not_found(self.link(f"zones/{call.zone}/machineTypes/{call.path['machineType']}"))
        return found

    def _image(self, link: str) -> Json:
        return self._get(self.images, link)

    def _own_images(self) -> list[Json]:
        return [item for link, item in self.images.items() if link.startswith(f"projects/{self.name}/")]

    def _new_network(self, call: Call) -> Json:
        name, link = call.body["name"], self.link(f"global/networks/{call.body['name']}")
        if call.body.get("autoCreateSubnetworks") is not False:
            raise invalid(
                "resource.autoCreateSubnetworks",
                call.body.get("autoCreateSubnetworks"),
                "The stub has custom mode only.",
            )
        self._is_free(self.networks, link)
        item = {
            **call.body,
            "kind": "compute#network",
            "id": new_id(),
            "selfLink": f"{ROOT}/{link}",
            "creationTimestamp": now(),
        }
        self.networks[link] = {**item, "name": name, "_making": True}
        return self.operations.begin(call, "insert", link, QUICK, lambda: self._ready(self.networks[link]))

    @staticmethod
    def _ready(item: Json) -> None:
        item.pop("_making", None)

    @staticmethod
    def _is_free(kept: dict[str, Json], link: str) -> None:
        if link in kept:
            raise Refusal(409, "alreadyExists", f"The resource '{link}' already exists")

    def _shown_networks(self) -> list[Json]:
        return list(self.networks.values())

    def _drop_network(self, call: Call) -> Json:
        link = self.link(f"global/networks/{call.path['network']}")
        self._get(self.networks, link)
        for kept in (self.subnets, self.firewalls):
            for user, item in kept.items():
                if short(item["network"]) == link:
                    raise in_use(link, user)
        return self.operations.begin(call, "delete", link, QUICK, lambda: self._forget(self.networks, link))

    @staticmethod
    def _forget(kept: dict[str, Json], link: str) -> None:
        kept.pop(link, None)

    def _new_subnet(self, call: Call) -> Json:
        link = self.link(f"regions/{call.region}/subnetworks/{call.body['name']}")
        network = self.network_of(call.body["network"])
        try:
            cidr = ipaddress.ip_network(call.body["ipCidrRange"])
        except ValueError:
            raise invalid("resource.ipCidrRange", call.body["ipCidrRange"], "Must be a CIDR address range.") from None
        self._is_free(self.subnets, link)
        self.subnets[link] = {
            **call.body, "kind": "compute#subnetwork", "id": new_id(), "selfLink": f"{ROOT}/{link}",
            "network": network["selfLink"], "region": f"{ROOT}/{self.link(f'regions/{call.region}')}",
            "gatewayAddress": str(cidr[1]), "creationTimestamp": now(), "fingerprint": fingerprint(link),
        }  # fmt: skip
        network.setdefault("subnetworks", []).append(f"{ROOT}/{link}")
        return self.operations.begin(call, "insert", link, QUICK, lambda: None)

    def _subnet(self, call: Call) -> str:
        return self.link(f"regions/{call.region}/subnetworks/{call.path['subnetwork']}")

    def _subnets_in(self, region: str) -> list[Json]:
        return [item for link, item in self.subnets.items() if f"/regions/{region}/" in link]

    def _drop_subnet(self, call: Call) -> Json:
        link = self._subnet(call)
        network = self.networks[short(self._get(self.subnets, link)["network"])]
        for user in self.users_of(link):
            raise in_use(link, user)

        def gone() -> None:
            if self.subnets.pop(link, None):
                network["subnetworks"].remove(f"{ROOT}/{link}")

        return self.operations.begin(call, "delete", link, QUICK, gone)

    def _firewall(self, call: Call) -> str:
        return self.link(f"global/firewalls/{call.path['firewall']}")

    def _new_firewall(self, call: Call) -> Json:
        link, body = self.link(f"global/firewalls/{call.body['name']}"), call.body
        network = self.network_of(body["network"])
        if bool(body.get("allowed")) == bool(body.get("denied")):
            raise invalid("resource.allowed", "", "Either allowed or denied is required.")
        if (body["direction"] == "INGRESS" and "destinationRanges" in body) or (
            body["direction"] == "EGRESS" and "sourceRanges" in body
        ):
            raise invalid("resource.direction", body["direction"], "Ranges do not go with the direction.")
        self._is_free(self.firewalls, link)
        self.firewalls[link] = {
            **body, "kind": "compute#firewall", "id": new_id(), "selfLink": f"{ROOT}/{link}",
            "creationTimestamp": now(), "network": network["selfLink"], "disabled": body.get("disabled", False),
        }  # fmt: skip
        return self.operations.begin(call, "insert", link, QUICK, lambda: None)

    def _drop_firewall(self, call: Call) -> Json:
        link = self._firewall(call)
        self._get(self.firewalls, link)
        return self.operations.begin(call, "delete", link, QUICK, lambda: self._forget(self.firewalls, link))
