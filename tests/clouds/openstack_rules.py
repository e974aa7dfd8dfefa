"""What the driver may do, as access rules of an application credential. In: the requests it sends. Out: the rules.

``python -m tests.clouds.openstack_rules`` writes them to docs/clouds; a test runs the driver with them alone, on
services that heed them.
"""

import json
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/clouds/openstack-access-rules.json"
SERVICES = {"nova": ("compute", "/v2.1/"), "neutron": ("network", "/v2.0/"), "glance": ("image", "/v2/")}
REQUESTS = """
nova GET limits, os-availability-zone, flavors/detail, servers/detail, servers/{id}, os-keypairs, os-keypairs/{name}
nova POST servers, servers/{id}/action, os-keypairs
nova DELETE servers/{id}, os-keypairs/{name}
neutron GET networks, networks/{id}, subnets, routers, routers/{id}, ports, ports/{id}, floatingips, floatingips/{id}
neutron GET security-groups, security-groups/{id}, quotas/{project}/details
neutron POST networks, subnets, routers, ports, floatingips, security-groups, security-group-rules
neutron PUT networks/{id}/tags, networks/{id}/tags/{tag}, security-groups/{id}/tags
neutron PUT routers/{id}/add_router_interface, routers/{id}/remove_router_interface
neutron DELETE networks/{id}, networks/{id}/tags/{tag}, routers/{id}, ports/{id}, floatingips/{id}
neutron DELETE security-groups/{id}, security-group-rules/{id}
glance GET images, images/{id}
"""


def requests() -> set[str]:
    """ "nova POST servers" and all others, as the driver tells them to drivers/wire.py."""
    made: set[str] = set()
    for line in REQUESTS.strip().splitlines():
        service, method, paths = line.split(" ", 2)
        made |= {f"{service} {method} {path}" for path in paths.split(", ")}
    return made


def rules() -> list[dict[str, str]]:
    """The access rules; a star stands for one part of a path."""
    made = []
    for request in sorted(requests()):
        service, method, path = request.split(" ")
        kind, prefix = SERVICES[service]
        made.append({"service": kind, "method": method, "path": prefix + re.sub(r"\{\w+\}", "*", path)})
    return made


def text() -> str:
    return "[\n" + ",\n".join(f"  {json.dumps(rule)}" for rule in rules()) + "\n]\n"


if __name__ == "__main__":
    PAGE.write_text(text())
