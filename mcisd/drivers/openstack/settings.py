"""What a connection says of its cloud. Pure. In: a ConnectionSpec. Out: Settings, or which value is wrong and why."""

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudInvalidError

INTERFACES = ("public", "internal", "admin")
MICROVERSION = "2.52"
"""The first version of nova in which a server is created with its tags (OpenStack Queens, 2018)."""
CREDENTIAL_FIELDS: dict[str, bool] = dict.fromkeys(
    (
        "application_credential_id", "application_credential_name", "application_credential_secret",
        "username", "user_id", "password", "user_domain_name", "user_domain_id",
        "project_name", "project_id", "project_domain_name", "project_domain_id",
        "clouds_yaml", "cloud",
    ),
    False,
)  # fmt: skip
"""Three forms, so no field is needed in all: an application credential, a password, an entry of a clouds.yaml."""
ENDPOINTS = {"nova": "compute_endpoint", "neutron": "network_endpoint", "glance": "image_endpoint"}
"""Service → the key of region_info that stands in for the catalogue."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``credential`` is secret. ``prices`` are USD per hour by flavor name or id, valid at ``price_date``."""

    region: str
    auth_url: str
    credential: dict[str, str] = field(repr=False)
    interface: str = "public"
    ca_file: str = ""
    external_network: str = ""
    floating_ip: bool = False
    microversion: str = MICROVERSION
    endpoints: dict[str, str] = field(default_factory=dict)
    zone: str = ""
    dns: tuple[str, ...] = ()
    prices: dict[str, float] = field(default_factory=dict)
    price_date: str | None = None
    place: tuple[float, float, str] | None = None

    @property
    def tagged(self) -> bool:
        """Whether nova of this version takes tags at creation and filters lists by them."""
        return version(self.microversion) >= version(MICROVERSION)


def version(text: str) -> tuple[int, int]:
    """ "2.52" → (2, 52)."""
    major, _, minor = text.partition(".")
    if not (major.isdigit() and minor.isdigit()):
        raise wrong("compute_microversion", f"{text[:20]!r} is no version", "write it as 2.52, or 2.1 for an old cloud")
    return int(major), int(minor)


def wrong(name: str, what: str, remedy: str) -> CloudInvalidError:
    """One sentence on a value of the connection."""
    return CloudInvalidError(f"{name}: {what}", field=name, remedy=remedy)


def settings(spec: ConnectionSpec, cloud: dict[str, Any] | None = None) -> Settings:
    """All settings of a connection; ``cloud`` is its entry of a clouds.yaml, which the own values outdo."""
    base = _from_cloud(cloud or {})
    info = {**base.info, **spec.region_info}
    credential = {**base.credential, **{k: v for k, v in spec.credential.items() if k not in ("clouds_yaml", "cloud")}}
    external = info.get("external_network", "")
    microversion = info.get("compute_microversion", MICROVERSION)
    version(microversion)
    interface = info.get("interface", "public").removesuffix("URL")
    if interface not in INTERFACES:
        raise wrong("interface", f"{interface[:40]!r} is unknown", f"use {', '.join(INTERFACES)}")
    _complete(credential)
    return Settings(
        region=spec.region,
        auth_url=_url("auth_url", info.get("auth_url", "")),
        credential=credential,
        interface=interface,
        ca_file=info.get("ca_file", ""),
        external_network=external,
        floating_ip=_flag("floating_ip", info.get("floating_ip", "true" if external else "false")),
        microversion=microversion,
        endpoints={service: _url(key, info[key]) for service, key in ENDPOINTS.items() if info.get(key)},
        zone=spec.zone or "",
        dns=tuple(info.get("dns", "").replace(",", " ").split()),
        prices=_prices(info.get("prices", "")),
        price_date=_date(info.get("prices_date", "")) if info.get("prices") else None,
        place=_place(info),
    )


def auth_body(credential: dict[str, str]) -> dict[str, Any]:
    """The body of keystone's POST /v3/auth/tokens; it holds the secret."""
    if credential.get("application_credential_secret"):
        identity: dict[str, Any] = {"secret": credential["application_credential_secret"]}
        if credential.get("application_credential_id"):
            identity["id"] = credential["application_credential_id"]
        else:
            identity |= {"name": credential["application_credential_name"], "user": _user(credential)}
        method = {"methods": ["application_credential"], "application_credential": identity}
        return {"auth": {"identity": method}}
    user = {**_user(credential), "password": credential["password"]}
    project = _named(credential, "project")
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}}}


def who(credential: dict[str, str]) -> str:
    """The credential in a sentence, without its secret."""
    if credential.get("application_credential_secret"):
        name = credential.get("application_credential_id") or credential.get("application_credential_name", "")
        return f"application credential {name}"
    return f"password of user {credential.get('username') or credential.get('user_id', '')}"


def _user(credential: dict[str, str]) -> dict[str, Any]:
    if credential.get("user_id"):
        return {"id": credential["user_id"]}
    return {"name": credential["username"], "domain": _domain(credential, "user")}


def _named(credential: dict[str, str], what: str) -> dict[str, Any]:
    if credential.get(f"{what}_id"):
        return {"id": credential[f"{what}_id"]}
    return {"name": credential[f"{what}_name"], "domain": _domain(credential, what)}


def _domain(credential: dict[str, str], what: str) -> dict[str, str]:
    if credential.get(f"{what}_domain_id"):
        return {"id": credential[f"{what}_domain_id"]}
    return {"name": credential.get(f"{what}_domain_name") or "Default"}


def _complete(credential: dict[str, str]) -> None:
    """CloudAuthError unless the credential is whole in one of its forms."""
    has = {name for name, value in credential.items() if value}
    user = bool(has & {"username", "user_id"})
    if "application_credential_secret" in has:
        if "application_credential_id" in has or ("application_credential_name" in has and user):
            return
        missing = "application_credential_id (or application_credential_name with username or user_id)"
    elif "password" in has:
        if user and has & {"project_name", "project_id"}:
            return
        missing = "project_name or project_id" if user else "username or user_id"
    else:
        missing = "application_credential_id and application_credential_secret, or username, password and project_name"
    raise CloudAuthError(
        "the credential is not complete", field="credential", remedy=f"give {missing}, or clouds_yaml and cloud"
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    credential: dict[str, str] = field(repr=False)
    info: dict[str, str]


def _from_cloud(cloud: dict[str, Any]) -> _Entry:
    """An entry of a clouds.yaml in our names."""
    auth = {str(name): str(value) for name, value in (cloud.get("auth") or {}).items()}
    if cloud.get("verify") is False:
        raise wrong(
            "clouds_yaml", "verify: false is not supported", "give the authority's certificate as cacert instead"
        )
    credential = {name: value for name, value in auth.items() if name in CREDENTIAL_FIELDS}
    names = {"ca_file": "cacert", "interface": "interface", "compute_microversion": "compute_default_microversion"}
    info = {ours: str(cloud[theirs]) for ours, theirs in names.items() if cloud.get(theirs)}
    for key in ENDPOINTS.values():
        if cloud.get(f"{key}_override"):
            info[key] = str(cloud[f"{key}_override"])
    if auth.get("auth_url"):
        info["auth_url"] = auth["auth_url"]
    return _Entry(credential, info)


def _url(name: str, text: str) -> str:
    if not text.startswith(("http://", "https://")):
        what = f"{text[:80]!r} is no URL" if text else "it is missing"
        raise wrong(name, what, "give it as https://keystone.example.com:5000/v3")
    return text.rstrip("/")


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise wrong(name, f"{text[:20]!r} is neither true nor false", "write true or false")
    return text.lower() == "true"


def _prices(text: str) -> dict[str, float]:
    try:
        table = json.loads(text or "{}")
        prices = {str(flavor): float(price) for flavor, price in table.items()}
    except (ValueError, AttributeError, TypeError):
        raise wrong("prices", "it is no JSON object of numbers", 'write {"m1.small": 0.05}, in USD per hour') from None
    if not all(0 <= price < float("inf") for price in prices.values()):
        raise wrong("prices", "a price is below zero or no number", 'write {"m1.small": 0.05}, in USD per hour')
    return prices


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise wrong(
            "prices_date", f"{text[:20]!r} is no date", "give the day of the price list as 2026-01-31"
        ) from None


def _place(info: dict[str, str]) -> tuple[float, float, str] | None:
    if not (info.get("latitude") or info.get("longitude")):
        return None
    try:
        return float(info.get("latitude", "")), float(info.get("longitude", "")), info.get("place", "")
    except ValueError:
        raise wrong(
            "latitude", "latitude and longitude are not both numbers", "give degrees, as 37.57 and 126.98"
        ) from None
