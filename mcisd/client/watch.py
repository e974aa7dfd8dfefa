"""Calls that look on: measurements, live samples, events, the daemon itself."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from mcisd.client.paths import infra
from mcisd.client.transport import Json, Transport


class WatchCalls(Transport):
    """Streams never end by themselves; close them with ``contextlib.aclosing``."""

    async def monitoring(self, ns: str, name: str, vm: str = "", **query: object) -> Json:
        """Stored measurements; ``query`` as in the API: measurement, fields, statistic, start, end, step."""
        parts = ("vms", vm, "monitoring") if vm else ("monitoring",)
        return cast(Json, await self.get(infra(ns, name, *parts), query))

    async def current(self, ns: str, name: str) -> list[Json]:
        """Measured now on every VM."""
        answer = await self.get(infra(ns, name, "monitoring", "current"), timeout=60.0)
        return cast("list[Json]", answer["vms"])

    async def live(self, ns: str, name: str, columns: tuple[str, ...]) -> AsyncGenerator[Json]:
        """Samples as they arrive: ``{"vm", "time", "values": {column: number}}``."""
        path = infra(ns, name, "monitoring", "live")
        async with aclosing(self.stream(path, {"columns": ",".join(columns)})) as messages:
            async for message in messages:
                if message.event == "sample":
                    yield json.loads(message.data)

    async def list_events(
        self,
        after: int | None = None,
        limit: int = 100,
        subject: str = "",
        type: str = "",  # noqa: A002 - the API's word
    ) -> list[Json]:
        """A page of events after a sequence; without one, the newest of all."""
        query = {"after": after, "limit": limit, "subject": subject, "type": type}
        return cast("list[Json]", await self.get("/events", query))

    async def events(self, after: int | None = None, subject: str = "", type: str = "") -> AsyncGenerator[Json]:  # noqa: A002 - the API's word
        """Events from now on (or after sequence ``after``), none missed and none twice, also over a restart of the
        daemon. ``subject`` and ``type`` are beginnings."""
        seen = -1 if after is None else after
        query = {"subject": subject, "type": type, "after": after}
        async with aclosing(self.stream("/events", query, "" if after is None else str(after))) as messages:
            async for message in messages:
                event: Json = json.loads(message.data)
                sequence = int(event.get("sequence", 0))
                if sequence > seen:
                    seen = sequence
                    yield event

    async def system(self) -> Json:
        return cast(Json, await self.get("/system"))

    async def console_link(self) -> str:
        """A link that opens the console once."""
        answer = await self.post("/console-links")
        return str(answer["url"])

    async def ready(self) -> None:
        """Return when the daemon is ready; ApiError if it does not become so within the client's patience."""
        await self.request("GET", "/readyz", prefix="")
