"""Who we are at the cloud. In: a credential. Out: a token that is valid now, and where the cloud's services are."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mcisd.aio.clock import Clock
from mcisd.drivers.openstack import faults
from mcisd.drivers.openstack.http import Answer, Http
from mcisd.drivers.openstack.settings import Settings, auth_body, who
from mcisd.model.errors import CloudInvalidError, CloudTransientError

MARGIN = 60.0
"""Seconds before its end at which a token is renewed; a tenth of its life if that is less."""
TYPES = {"nova": "compute", "neutron": "network", "glance": "image"}
"""Service → its type in the catalogue."""
VERSIONS = {"nova": "/v2.1", "neutron": "/v2.0", "glance": "/v2"}
"""What an address without a version gets."""


@dataclass(frozen=True, slots=True)
class Token:
    """``renew`` is the monotonic time from which it is no longer used; ``endpoints`` service → address."""

    text: str = field(repr=False)
    renew: float
    project: str
    user: str
    endpoints: Mapping[str, str]


class Keystone:
    """Keeps one token and renews it; callers that come meanwhile wait for the same one."""

    def __init__(self, http: Http, settings: Settings, clock: Clock) -> None:
        self._http = http
        self._settings = settings
        self._clock = clock
        self._token: Token | None = None
        self._asking = asyncio.Lock()

    async def token(self, refused: Token | None = None) -> Token:
        """The token of now; another one than ``refused``, which a service did not take."""
        async with self._asking:
            known = self._token
            if known is None or known is refused or self._clock.monotonic() >= known.renew:
                self._token = known = await self._ask()
            return known

    async def _ask(self) -> Token:
        url = self._settings.auth_url
        if not url.endswith("/auth/tokens"):  # some clouds have it at a place of their own
            url = (url if url.endswith("/v3") else f"{url}/v3") + "/auth/tokens"
        body = auth_body(self._settings.credential)
        asked = self._clock.monotonic()
        answer = await self._http.ask("keystone POST auth/tokens", "POST", url, body=body)
        if answer.status == 404:
            raise CloudInvalidError(
                "there is no keystone v3 at auth_url", field="auth_url", remedy="give the address that ends in /v3"
            )
        if answer.status >= 400:
            raise faults.refused(who(self._settings.credential), answer, self._clock.now())
        return self._read(answer, asked)

    def _read(self, answer: Answer, asked: float) -> Token:
        text = next((value for name, value in answer.headers.items() if name.lower() == "x-subject-token"), "")
        try:
            told: dict[str, Any] = answer.body["token"]
            life = lifetime(told)
            project, user = told["project"]["id"], told["user"]["id"]
            catalogue: list[dict[str, Any]] = told.get("catalog") or []
        except (KeyError, TypeError, ValueError) as error:
            raise CloudTransientError("keystone's answer is not that of keystone v3 with a project") from error
        if not text:
            raise CloudTransientError("keystone gave no token")
        places = endpoints(catalogue, self._settings)
        return Token(text, asked + life - min(MARGIN, life / 10), project, user, places)


def lifetime(told: Mapping[str, Any]) -> float:
    """Seconds from issue to expiry: a difference of the cloud's own times, so that our clock does not matter."""
    issued, expires = (datetime.fromisoformat(told[name]) for name in ("issued_at", "expires_at"))
    return (expires - issued).total_seconds()


def endpoints(catalogue: list[dict[str, Any]], settings: Settings) -> dict[str, str]:
    """Service → address in this region; CloudInvalidError if the region or one of the services is not there."""
    found: dict[str, str] = {}
    regions: set[str] = set()
    for service in catalogue:
        for place in service.get("endpoints") or []:
            region = str(place.get("region_id") or place.get("region") or "")
            regions.add(region)
            if region == settings.region and place.get("interface") == settings.interface:
                found.setdefault(str(service.get("type")), str(place.get("url")))
    if regions and settings.region not in regions:
        raise CloudInvalidError(
            f"region {settings.region[:60]!r} is not in the cloud's catalogue",
            field="region",
            remedy=f"use one of: {', '.join(sorted(regions - {''}))[:300]}",
        )
    places = {name: settings.endpoints.get(name) or found.get(kind, "") for name, kind in TYPES.items()}
    missing = [TYPES[name] for name, url in places.items() if not url]
    if missing:
        raise CloudInvalidError(
            f"the catalogue has no {settings.interface} address of {' and '.join(missing)} in {settings.region[:60]}",
            field="interface",
            remedy="set interface to public, internal or admin, or give the address, as compute_endpoint",
        )
    return {name: versioned(name, url) for name, url in places.items()}


def versioned(service: str, url: str) -> str:
    """The address with its version, which catalogues mention for nova alone."""
    url = url.rstrip("/")
    known = any(part[:1] == "v" and part[1:2].isdigit() for part in url.split("/")[3:])
    return url if known else url + VERSIONS[service]
