"""What a request is called, and which permission it needs. Pure. In: method and URL. Out: words of Azure's own.

The least-privilege role in docs/clouds/azure.md is PERMISSIONS; the conformance suite holds the table to the requests
that the driver really makes.
"""

from urllib.parse import urlsplit

_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
ROOT = "Microsoft.Resources/subscriptions"

PERMISSIONS: frozenset[str] = frozenset(
    {
        "Microsoft.Resources/subscriptions/locations/read",
        "Microsoft.Resources/subscriptions/resourceGroups/write",
        "Microsoft.Resources/subscriptions/resourceGroups/resources/read",
        "Microsoft.Compute/skus/read",
        "Microsoft.Compute/images/read",
        "Microsoft.Compute/locations/usages/read",
        "Microsoft.Compute/locations/operations/read",
        "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read",
        "Microsoft.Compute/disks/delete",
        "Microsoft.Compute/sshPublicKeys/read",
        "Microsoft.Compute/sshPublicKeys/write",
        "Microsoft.Compute/sshPublicKeys/delete",
        "Microsoft.Compute/virtualMachines/read",
        "Microsoft.Compute/virtualMachines/write",
        "Microsoft.Compute/virtualMachines/delete",
        "Microsoft.Compute/virtualMachines/instanceView/read",
        "Microsoft.Compute/virtualMachines/start/action",
        "Microsoft.Compute/virtualMachines/restart/action",
        "Microsoft.Compute/virtualMachines/deallocate/action",
        "Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action",
        "Microsoft.Network/locations/usages/read",
        "Microsoft.Network/locations/operations/read",
        "Microsoft.Network/virtualNetworks/read",
        "Microsoft.Network/virtualNetworks/write",
        "Microsoft.Network/virtualNetworks/delete",
        "Microsoft.Network/networkSecurityGroups/read",
        "Microsoft.Network/networkSecurityGroups/write",
        "Microsoft.Network/networkSecurityGroups/delete",
        "Microsoft.Network/networkInterfaces/read",
        "Microsoft.Network/networkInterfaces/write",
        "Microsoft.Network/networkInterfaces/delete",
        "Microsoft.Network/publicIPAddresses/read",
        "Microsoft.Network/publicIPAddresses/write",
        "Microsoft.Network/publicIPAddresses/delete",
        "Microsoft.Network/applicationSecurityGroups/read",
        "Microsoft.Network/applicationSecurityGroups/write",
        "Microsoft.Network/applicationSecurityGroups/delete",
    }
)
"""One for each request of the driver."""
LINKED: frozenset[str] = frozenset(
    {
        "Microsoft.Compute/disks/write",
        "Microsoft.Network/virtualNetworks/subnets/join/action",
        "Microsoft.Network/networkSecurityGroups/join/action",
        "Microsoft.Network/networkInterfaces/join/action",
        "Microsoft.Network/publicIPAddresses/join/action",
    }
)
"""What Azure asks for besides, because a request refers to another object or makes one on the way."""


def operation(method: str, url: str) -> str:
    """The request's name without ids: "PUT virtualMachines/{name}"."""
    path = urlsplit(url).path.strip("/")
    if path.endswith("oauth2/v2.0/token"):
        return f"{method} oauth2/v2.0/token"
    provider, words = _words(path)
    if provider is None:
        return f"{method} {path.rsplit('/', 1)[-1]}"
    shown = "/".join("{name}" if index % 2 else word for index, word in enumerate(words))
    return f"{method} {shown}"


def permission(method: str, url: str) -> str | None:
    """The permission that Azure asks for this request; None if it does not go to the resource manager."""
    provider, words = _words(urlsplit(url).path.strip("/"))
    if provider is None:
        return None
    kinds = "/".join([provider, *words[::2]])
    return f"{kinds}/action" if method == "POST" else f"{kinds}/{_VERBS[method]}"


def _words(path: str) -> tuple[str | None, list[str]]:
    """The namespace, and then types and names in turn; no namespace where the path is not the resource manager's."""
    parts = path.split("/")
    lowered = [part.lower() for part in parts]
    if "providers" in lowered:
        start = lowered.index("providers") + 1
        return (parts[start], parts[start + 1 :]) if start < len(parts) else (None, parts)
    if lowered[0] != "subscriptions":
        return None, parts
    words = parts[2:]
    if words and words[0].lower() == "resourcegroups":
        words[0] = "resourceGroups"
    return ROOT, words
