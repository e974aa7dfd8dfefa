"""What a connection needs to know. Pure. In: the connection's key-values. Out: checked settings, or what is wrong."""

import json
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudInvalidError

ENDPOINT = "https://management.azure.com"
AUTHORITY = "https://login.microsoftonline.com"
PRICES = "https://prices.azure.com"
FIELDS: dict[str, bool] = {
    "subscription_id": False,
    "tenant_id": False,
    "client_id": False,
    "client_secret": False,
    "managed_identity": False,
    "json": False,
}
_JSON_NAMES = {
    "subscription_id": ("subscriptionId",),
    "tenant_id": ("tenantId", "tenant"),
    "client_id": ("clientId", "appId"),
    "client_secret": ("clientSecret", "password"),
}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_REGION = re.compile(r"[a-z0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds where a time is meant. ``client_secret`` is "" for a managed identity."""

    subscription: str
    region: str
    tenant: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    endpoint: str = ENDPOINT
    authority: str = AUTHORITY
    audience: str = ENDPOINT
    prices: str = PRICES
    ca_file: str = ""
    polling_interval: float = 1.0
    disk_type: str = "StandardSSD_LRS"
    hibernation: bool = False

    @property
    def scope(self) -> str:
        return f"{self.audience}/.default"


def settings_of(spec: ConnectionSpec) -> Settings:
    """CloudAuthError if the credential is incomplete, CloudInvalidError if a key-value of the region is wrong."""
    credential, info = _credential(spec.credential), spec.region_info
    if not _REGION.fullmatch(spec.region):
        raise CloudInvalidError(
            f"region {spec.region[:40]!r} is not an Azure region",
            field="region",
            remedy="use the short name, such as koreacentral",
        )
    endpoint = _url(info, "endpoint", ENDPOINT)
    return Settings(
        subscription=credential["subscription_id"],
        region=spec.region,
        tenant=credential.get("tenant_id", ""),
        client_id=credential.get("client_id", ""),
        client_secret=credential.get("client_secret", ""),
        endpoint=endpoint,
        authority=_url(info, "authority", AUTHORITY),
        audience=_url(info, "audience", endpoint),
        prices=_url(info, "prices", PRICES if endpoint == ENDPOINT else ""),
        ca_file=info.get("ca_file", ""),
        polling_interval=_seconds(info, "polling_interval", 1.0),
        disk_type=info.get("disk_type", "StandardSSD_LRS"),
        hibernation=info.get("hibernation", "false").lower() == "true",
    )


def _credential(given: dict[str, str]) -> dict[str, str]:
    """All fields in our names, those of ``json`` (what `az ad sp create-for-rbac` prints) included."""
    values = {name: value.strip() for name, value in given.items() if name in FIELDS and value.strip()}
    values = _from_json(values.pop("json", "")) | values
    managed = values.get("managed_identity", "false").lower() == "true"
    needed = ["subscription_id"] if managed else ["subscription_id", "tenant_id", "client_id", "client_secret"]
    missing = [name for name in needed if name not in values]
    if missing:
        raise CloudAuthError(
            f"the credential lacks {', '.join(missing)}",
            field=missing[0],
            remedy="give tenant_id, client_id and client_secret of a service principal, or managed_identity=true, "
            "and subscription_id",
        )
    for name in ("subscription_id", "client_id"):
        if name in values and not _UUID.fullmatch(values[name]):
            raise CloudAuthError(f"{name} is not a UUID", field=name, remedy="copy it from the Azure portal")
    if managed:
        values.pop("client_secret", None)
    return values


def _from_json(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CloudAuthError(
            "the credential's json is not a JSON object",
            field="json",
            remedy="give what `az ad sp create-for-rbac` prints",
        )
    return {
        ours: str(document[theirs]).strip()
        for ours, names in _JSON_NAMES.items()
        for theirs in names
        if document.get(theirs)
    }


def _url(info: dict[str, str], name: str, default: str) -> str:
    text = info.get(name, default).rstrip("/")
    if text and (urlsplit(text).scheme != "https" or not urlsplit(text).hostname):
        raise CloudInvalidError(
            f"{name} {text[:80]!r} is not an https address",
            field=name,
            remedy="access tokens go over TLS only; give https://HOST[:PORT]",
        )
    return text


def _seconds(info: dict[str, str], name: str, default: float) -> float:
    try:
        value = float(info.get(name, default))
    except ValueError:
        value = -1.0
    if not 0.001 <= value <= 60.0:
        raise CloudInvalidError(f"{name} must be 0.001 to 60 seconds", field=name)
    return value
