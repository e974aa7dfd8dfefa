"""Calls about clouds: drivers, credentials, regions, connections, call history; and about namespaces, resources."""

from typing import cast

from mcisd.client.paths import at
from mcisd.client.transport import Json, Transport

CHECK_TIMEOUT = 120.0
INVENTORY_TIMEOUT = 420.0


class FederationCalls(Transport):
    """What a user's clouds are. Lists answer lists, the rest one object."""

    async def register_driver(self, name: str, provider: str, path: str = "") -> Json:
        body = {"driverName": name, "providerName": provider, "driverPath": path}
        return cast(Json, await self.post("/drivers", body))

    async def register_credential(self, name: str, provider: str, values: dict[str, str]) -> Json:
        body = {"credentialName": name, "providerName": provider, "keyValueInfoList": _pairs(values)}
        return cast(Json, await self.post("/credentials", body))

    async def register_region(
        self, name: str, provider: str, values: dict[str, str], location: Json | None = None
    ) -> Json:
        """``values`` needs the key ``Region``; ``location`` is ``{latitude, longitude, display}``."""
        body: Json = {"regionName": name, "providerName": provider, "regionInfoList": _pairs(values)}
        if location is not None:
            body["location"] = location
        return cast(Json, await self.post("/regions", body))

    async def create_connection(self, name: str, driver: str, credential: str, region: str) -> Json:
        body = {"connConfigName": name, "driverName": driver, "credentialName": credential, "regionName": region}
        return cast(Json, await self.post("/connections", body))

    async def check_connection(self, name: str) -> Json:
        return cast(Json, await self.post(at("connections", name, "check"), timeout=CHECK_TIMEOUT))

    async def list_catalogue(self, name: str, kind: str) -> list[Json]:
        """``kind`` is specs or images: what the cloud of connection ``name`` offers; public catalogues are large."""
        return cast("list[Json]", await self.get(at("connections", name, kind), timeout=INVENTORY_TIMEOUT))

    async def list_quotas(self, name: str) -> list[Json]:
        return cast("list[Json]", await self.get(at("connections", name, "quotas"), timeout=CHECK_TIMEOUT))

    async def list_owned(self, name: str) -> list[Json]:
        """Everything at the cloud of connection ``name`` that bears our mark."""
        return cast("list[Json]", await self.get(at("connections", name, "owned"), timeout=INVENTORY_TIMEOUT))

    async def remove_orphans(self, name: str, *, force: bool = False) -> list[Json]:
        """Remove what is ours there and unknown here; what became of each."""
        query = {"force": "true"} if force else None
        path = at("connections", name, "orphans")
        return cast("list[Json]", await self.request("DELETE", path, query=query, timeout=INVENTORY_TIMEOUT))

    async def list_of(self, *parts: str, **query: object) -> list[Json]:
        """Any list of the API: ``list_of("connections")``, ``list_of("ns", "demo", "specs")``."""
        return cast("list[Json]", await self.get(at(*parts), query))

    async def one(self, *parts: str) -> Json:
        """Any single object of the API: ``one("connections", "aws-us-east-1")``."""
        return cast(Json, await self.get(at(*parts)))

    async def remove(self, *parts: str) -> None:
        """Delete any single object of the API."""
        await self.delete(at(*parts))

    async def create_namespace(self, name: str, description: str = "") -> Json:
        return cast(Json, await self.post("/ns", {"name": name, "description": description}))

    async def create_resource(self, ns: str, kind: str, body: Json) -> Json:
        """``kind`` is images, specs, networks, securityGroups or sshKeys."""
        return cast(Json, await self.post(at("ns", ns, kind), body))


def _pairs(values: dict[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in values.items()]
