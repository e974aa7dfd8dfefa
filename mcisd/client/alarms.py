"""Calls about alarms: thresholds, alarms, channels, messages, policies."""

from typing import cast

from mcisd.client.paths import at, infra
from mcisd.client.transport import Json, Transport


class AlarmCalls(Transport):
    """Thresholds and policies belong to an MCIS; channels to the installation."""

    async def set_thresholds(self, ns: str, name: str, thresholds: list[Json]) -> list[Json]:
        """Replace all thresholds of an MCIS."""
        answer = await self.put(infra(ns, name, "alarmThresholds"), {"thresholds": thresholds})
        return cast("list[Json]", answer["thresholds"])

    async def get_thresholds(self, ns: str, name: str) -> list[Json]:
        answer = await self.get(infra(ns, name, "alarmThresholds"))
        return cast("list[Json]", answer["thresholds"])

    async def reset_thresholds(self, ns: str, name: str) -> list[Json]:
        """Back to the system's defaults, which are returned."""
        answer = await self.request("DELETE", infra(ns, name, "alarmThresholds"))
        return cast("list[Json]", answer["thresholds"])

    async def list_alarms(self, ns: str = "", name: str = "", phase: str = "") -> list[Json]:
        return cast("list[Json]", await self.get("/alarms", {"ns": ns, "infra": name, "phase": phase}))

    async def create_channel(self, name: str, url: str) -> Json:
        """``url`` is secret: it goes into the body and comes back in no answer."""
        return cast(Json, await self.post("/channels", {"name": name, "url": url}))

    async def test_channel(self, name: str) -> None:
        await self.post(at("channels", name, "test"), timeout=60.0)

    async def list_messages(self, state: str = "", limit: int = 100) -> list[Json]:
        return cast("list[Json]", await self.get("/messages", {"state": state, "limit": limit}))

    async def create_policy(self, ns: str, name: str, policy: Json) -> Json:
        return cast(Json, await self.post(infra(ns, name, "policies"), policy))

    async def list_policies(self, ns: str, name: str) -> list[Json]:
        return cast("list[Json]", await self.get(infra(ns, name, "policies")))

    async def list_policy_runs(self, ns: str, name: str, policy: str) -> list[Json]:
        """What a policy decided, and why."""
        return cast("list[Json]", await self.get(infra(ns, name, "policies", policy, "runs")))

    async def delete_policy(self, ns: str, name: str, policy: str) -> None:
        await self.delete(infra(ns, name, "policies", policy))
