"""The services of one project in one region. In: service, method, path. Out: what it answers, decoded, or our error."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mcisd.aio.clock import Clock, SystemClock
from mcisd.drivers.openstack import faults
from mcisd.drivers.openstack.http import Answer, Http
from mcisd.drivers.openstack.keystone import Keystone, Token
from mcisd.drivers.openstack.settings import Settings

Json = dict[str, Any]
"""Objects as the services write them; only this folder sees them."""
PAGE = 500
PAGES = 200
"""Pages of one list at most: a server that repeats its pages must not hold us for ever."""
_SLOT = re.compile(r"\{\w+\}")


class Client:
    """Sends requests with a token, renews it, and turns refusals into our errors."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self._http = Http(settings.ca_file)
        self._keystone = Keystone(self._http, settings, self.clock)

    async def token(self) -> Token:
        """Who we are: project and user are in it."""
        return await self._keystone.token()

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        *ids: str,
        params: Mapping[str, str] | None = None,
        body: object | None = None,
        microversion: str = "",
    ) -> Answer:
        """The answer to ``path`` ("servers/{id}") with ``ids`` in its slots; a refusal is one of our errors."""
        operation = f"{service} {method} {path}"
        rest = iter(ids)
        place = _SLOT.sub(lambda _: quote(next(rest), safe=""), path)
        token = await self._keystone.token()
        for last in (False, True):
            headers = {"X-Auth-Token": token.text, **self._version(service, microversion)}
            url = f"{token.endpoints[service]}/{place}"
            answer = await self._http.ask(operation, method, url, headers=headers, params=params, body=body)
            if answer.status != 401 or last:
                break
            token = await self._keystone.token(refused=token)  # it was revoked, or is older than the cloud likes
        if answer.status >= 400 or answer.status in (300, 301, 302, 307, 308):
            raise faults.fault(operation, answer)
        return answer

    async def get(self, service: str, path: str, *ids: str, params: Mapping[str, str] | None = None) -> Json:
        """The JSON object of a GET."""
        return _object((await self.call(service, "GET", path, *ids, params=params)).body)

    async def post(self, service: str, path: str, *ids: str, body: object) -> Json:
        """The JSON object of a POST; empty where there is none."""
        return _object((await self.call(service, "POST", path, *ids, body=body)).body)

    async def pages(
        self, service: str, path: str, key: str, params: Mapping[str, str] | None = None, microversion: str = ""
    ) -> list[Json]:
        """All items of a list, over all its pages; one request if they fit into one."""
        found: list[Json] = []
        asked = {"limit": str(PAGE), **(params or {})}
        for _ in range(PAGES):
            answer = await self.call(service, "GET", path, params=asked, microversion=microversion)
            body = _object(answer.body)
            items: list[Json] = body.get(key) or []
            found += items
            more = "next" in body or any(link.get("rel") == "next" for link in body.get(f"{key}_links") or [])
            if not items or not more:
                break
            asked = {**asked, "marker": _marker(items[-1])}
        return found

    async def close(self) -> None:
        """Give back the sockets. Safe to call twice."""
        await self._http.close()

    def _version(self, service: str, microversion: str) -> dict[str, str]:
        wanted = microversion or self.settings.microversion
        return {"OpenStack-API-Version": f"compute {wanted}"} if service == "nova" and wanted != "2.1" else {}


def _marker(item: Json) -> str:
    """What the next page begins behind: an id, or of a key pair its name."""
    return str(item["keypair"]["name"] if "keypair" in item else item["id"])


def _object(body: Any) -> Json:
    return body if isinstance(body, dict) else {}
