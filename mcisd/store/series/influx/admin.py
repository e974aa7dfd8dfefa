"""The buckets and tasks an installation needs in, the same at InfluxDB out: made if they are not there, put right if
they differ. Several processes may do this at once.
"""

import json
from dataclasses import dataclass

from mcisd.model.errors import StoreError
from mcisd.store.series.influx.http import InfluxHttp, RefusedError
from mcisd.store.series.influx.options import DAY_S
from mcisd.store.series.influx.tasks import Task, wanted_tasks

Row = dict[str, object]
SHARDS = ((2 * DAY_S, 3_600), (183 * DAY_S, DAY_S), (0, 7 * DAY_S))
"""InfluxDB's own rule: for a retention below so many seconds, the span of one file; the last for all others. A bucket
that is given a shorter retention must be given a shorter span as well."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be: what it is, and what the daemon would do about it."""

    words: str
    method: str
    path: str
    body: Row


class Admin:
    """Keeps buckets and tasks."""

    def __init__(self, http: InfluxHttp) -> None:
        self._http = http
        self._options = http.options

    async def ensure(self) -> None:
        """Make all as it should be. StoreError says what could not be done."""
        org = await self._organization()
        for difference in [*await self._buckets(org)]:
            await self._mend(difference)
        for difference in [*await self._tasks(org)]:
            await self._mend(difference)
        # Names of tasks need not be unique: of two that two processes have made at once, all keep the same one.
        for difference in await self._tasks(org):
            await self._mend(difference)

    async def check(self) -> str:
        """One line on the server; StoreError names the first thing that is not as it should be."""
        health = await self._get("/health", {})
        org = await self._organization()
        for difference in [*await self._buckets(org), *await self._tasks(org)]:
            raise StoreError(
                f"InfluxDB: {difference.words}",
                field="store.series_bucket",
                remedy="start the daemon again, it mends it",
            )
        names = ", ".join(self._options.buckets)
        return f"InfluxDB {health.get('version', '')} at {self._options.url}, organization {self._options.org}, {names}"

    async def _organization(self) -> str:
        found = await self._list("/api/v2/orgs", {"org": self._options.org}, "orgs")
        if not found:
            raise StoreError(
                f"InfluxDB has no organization {self._options.org}",
                field="store.series_org",
                remedy="make it, or correct the setting",
            )
        return str(found[0]["id"])

    async def _buckets(self, org: str) -> list[Difference]:
        differences = []
        for name, seconds in self._options.buckets.items():
            shard_s = next(shard for most, shard in SHARDS if 0 < seconds < most or not most)
            rules = [{"type": "expire", "everySeconds": seconds, "shardGroupDurationSeconds": shard_s}]
            found = await self._list("/api/v2/buckets", {"orgID": org, "name": name}, "buckets")
            if not found:
                body: Row = {"orgID": org, "name": name, "retentionRules": rules}
                differences.append(Difference(f"there is no bucket {name}", "POST", "/api/v2/buckets", body))
            elif _retention(found[0]) != seconds:
                words = f"bucket {name} keeps {_retention(found[0])} s instead of {seconds} s (0: for ever)"
                path = f"/api/v2/buckets/{found[0]['id']}"
                differences.append(Difference(words, "PATCH", path, {"retentionRules": rules}))
        return differences

    async def _tasks(self, org: str) -> list[Difference]:
        differences = []
        for task in wanted_tasks(self._options):
            found = await self._list("/api/v2/tasks", {"orgID": org, "name": task.name}, "tasks")
            found.sort(key=lambda row: str(row["id"]))
            differences += _task_differences(task, found, org)
        return differences

    async def _mend(self, difference: Difference) -> None:
        try:
            body = difference.body or None
            await self._http.call(difference.method, difference.path, body=body)
        except RefusedError as refused:
            if "already exists" in refused.message:  # another process was faster
                return
            raise StoreError(
                f"InfluxDB: {difference.words}, and it refuses to change that: {refused.message}",
                field="store.series_bucket",
                remedy="change it by hand, or correct the settings",
            ) from None
        except StoreError as error:
            if difference.method == "DELETE" and "find" in error.message:
                return
            raise

    async def _list(self, path: str, query: dict[str, str], name: str) -> list[Row]:
        try:
            found = (await self._get(path, query)).get(name)
        except StoreError as error:
            if error.field == "store.series_bucket":  # not found: an empty list
                return []
            raise
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    async def _get(self, path: str, query: dict[str, str]) -> Row:
        try:
            answer = json.loads(await self._http.call("GET", path, query))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            remedy = "correct the address; InfluxDB 2.x is needed"
            raise StoreError("what answers is no InfluxDB 2", field="store.series_url", remedy=remedy)
        return answer


def _task_differences(task: Task, found: list[Row], org: str) -> list[Difference]:
    if not found:
        body: Row = {"orgID": org, "flux": task.flux, "status": "active"}
        return [Difference(f"there is no task {task.name}", "POST", "/api/v2/tasks", body)]
    differences = []
    if found[0].get("flux") != task.flux or found[0].get("status") != "active":
        body = {"flux": task.flux, "status": "active"}
        path = f"/api/v2/tasks/{found[0]['id']}"
        differences.append(Difference(f"task {task.name} is off or has another text", "PATCH", path, body))
    for row in found[1:]:
        words = f"there are two tasks {task.name}"
        differences.append(Difference(words, "DELETE", f"/api/v2/tasks/{row['id']}", {}))
    return differences


def _retention(bucket: Row) -> int:
    match bucket.get("retentionRules"):
        case [{"everySeconds": int(seconds)}, *_]:
            return seconds
    return 0
