"""The driver of Google Cloud.

In: a credential (service account key, access token, or what this machine is logged in with), a project, a region.
Out: a connection with every handler of base.py except Crash. Google's libraries are imported by the first connection.
"""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from mcisd.drivers.gcp.api import Api
from mcisd.drivers.gcp.catalogue import Catalogue
from mcisd.drivers.gcp.core import Scope
from mcisd.drivers.gcp.images import Images
from mcisd.drivers.gcp.inventory import Inventory
from mcisd.drivers.gcp.names import is_name
from mcisd.drivers.gcp.prices import PriceCache
from mcisd.drivers.gcp.threads import Threads
from mcisd.drivers.libraries import library
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudInvalidError

if TYPE_CHECKING:
    from types import ModuleType

    from mcisd.drivers.gcp.edge import Account

BILLING = "https://cloudbilling.googleapis.com"
PAUSES = (1.0, 2.0)
"""Seconds before each look at the operation that makes a VM: refusals come soon, the end of it is not waited for."""
LONGEST_KEY = 65536


class GcpConnection(Images, Inventory, Catalogue):
    """One project in one region with one credential."""

    async def check(self) -> None:
        self._zones = ()
        await self._zone(None)

    async def close(self) -> None:
        await self._api.close()


class GcpDriver:
    """Google Compute Engine."""

    provider: ClassVar[str] = "gcp"
    version: ClassVar[str] = "1"
    credential_fields: ClassVar[dict[str, bool]] = {
        "service_account_json": False,
        "service_account_file": False,
        "access_token": False,
        "project": False,
    }
    connection: ClassVar[type] = GcpConnection

    def __init__(self) -> None:
        self._prices = PriceCache()

    async def connect(self, spec: ConnectionSpec, installation: str) -> GcpConnection:
        """Reads the credential; sends nothing. CloudAuthError if it cannot be read or names no project."""
        if not is_name(spec.region):
            raise CloudInvalidError(f"{spec.region[:80]!r} is no region of Google Cloud", field="region")
        edge = await library("mcisd.drivers.gcp.edge", "gcp")
        threads = Threads(f"gcp-{spec.name}"[:40])
        account = await threads.run(lambda: _account(edge, spec.credential))
        endpoint = spec.region_info.get("endpoint", "").rstrip("/")
        billing = spec.region_info.get("billing_endpoint", "" if endpoint else BILLING).rstrip("/")
        made = edge.Edge(account, endpoint, billing)
        scope = Scope(spec.region, spec.zone or "", installation, _pauses(spec.region_info), self._prices, billing)
        return GcpConnection(Api(made, account.project, threads), scope)


def _account(edge: "ModuleType", credential: dict[str, str]) -> "Account":
    """Who to be: the key, the token, or what this machine is logged in with, in this order."""
    project = credential.get("project", "")
    if text := credential.get("service_account_json") or _file(credential.get("service_account_file", "")):
        account = edge.by_key(text, project)
    elif token := credential.get("access_token"):
        account = edge.by_token(token, project)
    else:
        account = edge.by_default(project)
    if not account.project:
        raise CloudAuthError(
            "the credential names no project", field="project", remedy="add project to the credential, as its id"
        )
    return cast("Account", account)


def _file(path: str) -> str:
    """The text of a key file; "" if none is named."""
    if not path:
        return ""
    try:
        with Path(path).expanduser().open(encoding="utf-8") as file:
            return file.read(LONGEST_KEY)
    except (OSError, ValueError) as error:
        raise CloudAuthError(
            f"the key file cannot be read: {type(error).__name__}",
            field="service_account_file",
            remedy="give a path that the daemon may read, or store the text as service_account_json",
        ) from None


def _pauses(region_info: dict[str, str]) -> tuple[float, ...]:
    text = region_info.get("operation_pauses", "")
    try:
        pauses = tuple(float(part) for part in text.split(",")) if text else PAUSES
    except ValueError:
        pauses = ()
    if not (0 < len(pauses) <= 10 and all(0 <= pause <= 30 for pause in pauses)):
        raise CloudInvalidError(
            f"operation_pauses {text[:40]!r} are no seconds", field="operation_pauses", remedy="use for example 1,2"
        )
    return pauses
