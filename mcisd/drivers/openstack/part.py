"""What every part of a connection has: the client, our marks, help with creations. In: a client. Out: base class."""

from datetime import datetime

from mcisd.drivers.openstack import naming
from mcisd.drivers.openstack.client import Client, Json
from mcisd.drivers.openstack.faults import server_time
from mcisd.drivers.openstack.once import Memory, Works
from mcisd.drivers.openstack.settings import Settings
from mcisd.model.errors import CloudError, CloudNotFoundError, CloudTransientError

LOOK = 0.3
"""Seconds between looks at a second that has not passed yet."""


class Part:
    """Base of the connection's parts."""

    def __init__(self, client: Client, installation: str, memory: Memory) -> None:
        self._client = client
        self._installation = installation
        self._memory = memory
        self._works = Works()
        self._external = ""

    @property
    def _settings(self) -> Settings:
        return self._client.settings

    async def _marked(self, kind: str, token: str) -> list[Json]:
        """Neutron's objects of this kind ("networks") that were made with this token, oldest first."""
        mark = naming.description(self._installation, token)
        return sorted(await self._client.pages("neutron", kind, _key(kind), {"description": mark}), key=age)

    async def _owned(self, kind: str) -> list[Json]:
        """Neutron's objects of this kind that carry our installation's mark."""
        token = await self._client.token()
        found = await self._client.pages("neutron", kind, _key(kind), {"project_id": token.project})
        return [item for item in found if self._owns(item)]

    def _owns(self, item: Json) -> bool:
        mark = naming.owner(item.get("description"))
        return mark is not None and mark[0] == self._installation

    async def _settled(self, kind: str, token: str, mine: Json, slow: float) -> Json:
        """The object that all controllers agree on: the oldest with this mark.

        Neutron has no idempotency token, so two controllers may each make one. Its times have whole seconds; once the
        second of the oldest has passed at the cloud, no older one can appear. ``slow`` seconds are added for requests
        that were dated before they were written down.
        """
        mark = naming.description(self._installation, token)
        while True:
            answer = await self._client.call("neutron", "GET", kind, params={"description": mark})
            seen: list[Json] = (answer.body or {}).get(_key(kind)) or []
            if all(item["id"] != mine["id"] for item in seen):
                seen = [*seen, mine]
            oldest = min(seen, key=age)
            now = server_time(answer.headers)
            if now is None or now >= made_at(oldest) + 1.0 + slow:
                return oldest
            await self._client.clock.sleep(LOOK)

    async def _delete(self, service: str, path: str, *ids: str) -> None:
        """Delete; what is gone already is fine."""
        try:
            await self._client.call(service, "DELETE", path, *ids)
        except CloudNotFoundError:
            return

    async def _retag(self, kind: str, item: Json, tags: dict[str, str]) -> Json:
        """The object with these tags, written only if one is missing."""
        known: list[str] = item.get("tags") or []
        missing = [tag for tag in naming.to_tags(tags) if tag not in known]
        if not missing:
            return item
        body = {"tags": [*known, *missing]}
        await self._client.call("neutron", "PUT", kind + "/{id}/tags", item["id"], body=body)
        return {**item, "tags": body["tags"]}


def half_made(kind: str, error: CloudError) -> CloudTransientError:
    """For a refusal that another controller's work on the same object has caused."""
    return CloudTransientError(f"another controller is making this {kind}; the next try finds it ({error.message})")


def age(item: Json) -> tuple[str, str]:
    """What sorts objects by age; the id decides between those of one second."""
    return str(item.get("created_at") or item.get("created") or ""), str(item["id"])


def made_at(item: Json) -> float:
    """Seconds since the epoch; 0 where the cloud does not say."""
    text = age(item)[0]
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _key(kind: str) -> str:
    return kind.replace("-", "_")
