"""The operator of the cloud under test. In: what the tests need. Out: requests to the services with the admin's token.

It shares no code with the driver, so that neither hides the other's mistakes.
"""

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.clouds.openstack_config import SECRET, Plan

Json = dict[str, Any]
PASSWORD = "correct-horse-battery"
PROJECT, USER = "mcisd", "mcisd-tester"
EXTERNAL = "outside"
FLAVORS = {"m1.tiny": (1, 64), "m1.small": (1, 512), "m1.medium": (2, 2048)}
NEVER_FULL = {"instances": 200, "cores": 400, "ram": 4_000_000, "key_pairs": 500, "metadata_items": 128}


@dataclass(frozen=True)
class Tenant:
    """Whom the driver connects as, and what the cloud offers."""

    auth_url: str
    project_id: str
    user_id: str
    image_id: str
    spec_id: str


class Admin:
    """Blocking requests; call it in a thread where a loop runs."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._token = ""

    def login(self, user: str = "admin", password: str = SECRET, project: str = "admin") -> str:
        """A token for this user."""
        domain = {"id": "default"}
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": domain, "password": password}},
        }
        body = {"auth": {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}}
        _, headers = self._send("POST", f"{self._plan.url('keystone')}/v3/auth/tokens", body, {})
        return str(headers["X-Subject-Token"])

    def ask(
        self, service: str, method: str, path: str, body: object = None, *, token: str = "", version: str = "2.90"
    ) -> Json:
        """The decoded answer; a refusal raises urllib's HTTPError."""
        if not self._token:
            self._token = self.login()
        prefix = {"keystone": "v3", "nova": "v2.1", "neutron": "v2.0", "glance": "v2", "placement": ""}[service]
        headers = {"X-Auth-Token": token or self._token}
        if service == "nova":
            headers["OpenStack-API-Version"] = f"compute {version}"
        return self._send(method, f"{self._plan.url(service)}/{prefix}/{path}", body, headers)[0]

    def provide(self) -> None:
        """Everything a tenant needs, on an empty cloud."""
        for name, (vcpus, ram) in FLAVORS.items():
            flavor = {"name": name, "vcpus": vcpus, "ram": ram, "disk": 1, "id": name}
            self.ask("nova", "POST", "flavors", {"flavor": flavor})
        gpu = {"name": "g1.large", "vcpus": 4, "ram": 4096, "disk": 1, "id": "g1.large"}
        self.ask("nova", "POST", "flavors", {"flavor": gpu})
        extra = {"pci_passthrough:alias": "a100:2"}
        self.ask("nova", "POST", "flavors/g1.large/os-extra_specs", {"extra_specs": extra})
        for version, name in (("12", "Debian 12 (May)"), ("12", "Debian 12 (June)"), ("24.04", "Ubuntu 24.04 LTS")):
            self._image(name, name.split()[0].lower(), version)
            time.sleep(1.1)  # times at the cloud have whole seconds, and the newest image is wanted
        network = {
            "name": EXTERNAL, "router:external": True, "provider:network_type": "flat",
            "provider:physical_network": "outside",
        }  # fmt: skip
        network_id = self.ask("neutron", "POST", "networks", {"network": network})["network"]["id"]
        subnet = {"network_id": network_id, "cidr": "203.0.113.0/24", "ip_version": 4, "enable_dhcp": False}
        wide = {**subnet, "cidr": "198.18.0.0/20"}
        self.ask("neutron", "POST", "subnets", {"subnet": wide})
        self.project(PROJECT, USER)

    def project(self, name: str, user: str) -> str:
        """A project with a member of it; the project's id."""
        project_id: str = self.ask("keystone", "POST", "projects", {"project": {"name": name}})["project"]["id"]
        body = {"user": {"name": user, "password": PASSWORD, "default_project_id": project_id}}
        user_id = self.ask("keystone", "POST", "users", body)["user"]["id"]
        role = self.ask("keystone", "GET", "roles?name=member")["roles"][0]["id"]
        self.ask("keystone", "PUT", f"projects/{project_id}/users/{user_id}/roles/{role}")
        self.quota(project_id, **NEVER_FULL)
        return project_id

    def quota(self, project_id: str, **limits: int) -> None:
        """Set nova's quotas of a project."""
        body = {"quota_set": {"force": True, **limits}}
        self.ask("nova", "PUT", f"os-quota-sets/{project_id}", body, version="2.35")

    def tenant(self) -> Tenant:
        """The project that ``provide`` made."""
        project = self.ask("keystone", "GET", f"projects?name={PROJECT}")["projects"][0]
        user = self.ask("keystone", "GET", f"users?name={USER}")["users"][0]
        images = self.ask("glance", "GET", "images?sort=created_at:desc&os_version=12")["images"]
        return Tenant(f"{self._plan.url('keystone')}/v3", project["id"], user["id"], images[0]["id"], "m1.tiny")

    def application_credential(self, name: str, **more: object) -> tuple[str, str]:
        """Id and secret of a new application credential of the tenant's user."""
        token = self.login(USER, PASSWORD, PROJECT)
        user_id = self.ask("keystone", "GET", f"users?name={USER}")["users"][0]["id"]
        body = {"application_credential": {"name": name, **more}}
        told = self.ask("keystone", "POST", f"users/{user_id}/application_credentials", body, token=token)
        made = told["application_credential"]
        return str(made["id"]), str(made["secret"])

    def revoke(self, token: str) -> None:
        """End a token before its time."""
        self._token = self._token or self.login()
        url = f"{self._plan.url('keystone')}/v3/auth/tokens"
        self._send("DELETE", url, None, {"X-Auth-Token": self._token, "X-Subject-Token": token})

    def hosts(self, *, enabled: bool) -> None:
        """Let nova use its compute hosts, or none: then no host is valid."""
        for service in self.ask("nova", "GET", "os-services?binary=nova-compute")["services"]:
            body = {"status": "enabled"} if enabled else {"status": "disabled", "disabled_reason": "a test"}
            self.ask("nova", "PUT", f"os-services/{service['id']}", body)

    def up(self) -> bool:
        """Whether a compute host reports."""
        services = self.ask("nova", "GET", "os-services")["services"]
        up = {service["binary"] for service in services if service["state"] == "up"}
        return {"nova-compute", "nova-scheduler", "nova-conductor"} <= up and self.mapped()

    def mapped(self) -> bool:
        """Whether the compute host has told placement what it has."""
        return bool(self.ask("nova", "GET", "os-hypervisors")["hypervisors"])

    def _image(self, name: str, distro: str, version: str) -> None:
        body = {
            "name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public",
            "os_distro": distro, "os_version": version, "min_disk": 0, "min_ram": 0,
        }  # fmt: skip
        image_id = self.ask("glance", "POST", "images", body)["id"]
        url = f"{self._plan.url('glance')}/v2/images/{image_id}/file"
        headers = {"X-Auth-Token": self._token, "Content-Type": "application/octet-stream"}
        urllib.request.urlopen(
            urllib.request.Request(url, b"not a real image", headers, method="PUT"), timeout=60
        ).close()

    def _send(self, method: str, url: str, body: object, headers: dict[str, str]) -> tuple[Json, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else {}, answer.headers
