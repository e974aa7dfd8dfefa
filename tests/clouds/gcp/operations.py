"""Operations: accepted now, done later. In: what to do in the end, and when. Out: Google's Operation, kept."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime

from tests.clouds.gcp.faces import Call, Json, Refusal, not_found

Effect = Callable[[], Refusal | None]
ROOT = "https://www.googleapis.com/compute/v1"
CODES = {"resourceInUseByAnotherResource": "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "notFound": "RESOURCE_NOT_FOUND"}
_IDS = itertools.count(7_000_000_000_000_000_001)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id() -> str:
    return str(next(_IDS))


class Operations:
    """All operations of one project; belongs to the server's loop."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._all: dict[str, Json] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._requests: dict[str, str] = {}

    def known(self, call: Call) -> Json | None:
        """The operation that this request id has begun before."""
        name = self._requests.get(call.query.get("requestId", ""))
        return self._all[name] if name else None

    def begin(self, call: Call, kind: str, target: str, seconds: float, effect: Effect) -> Json:
        """Accept: ``effect`` happens after ``seconds``, and tells what the operation failed with."""
        number, scope = new_id(), self._scope(call)
        name = f"operation-{number}"
        operation: Json = {
            "kind": "compute#operation", "id": number, "name": name, "operationType": kind, "status": "PENDING",
            "targetLink": f"{ROOT}/{target}", "targetId": number, "progress": 0, "insertTime": now(),
            "user": "suite@example.com", "selfLink": f"{ROOT}/projects/{self._project}/{scope}/operations/{name}",
        }  # fmt: skip
        for each in ("zone", "region"):
            if each in call.path:
                operation[each] = f"{ROOT}/projects/{self._project}/{each}s/{call.path[each]}"
        if request := call.query.get("requestId"):
            operation["clientOperationId"] = request
            self._requests[request] = name
        self._all[name], self._ended[name] = operation, asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.call_later(seconds / 2, lambda: operation.update(status="RUNNING", startTime=now()))
        loop.call_later(seconds, self._end, name, effect)
        return dict(operation)

    def _end(self, name: str, effect: Effect) -> None:
        fault = effect()
        operation = self._all[name]
        operation |= {"status": "DONE", "progress": 100, "endTime": now()}
        if fault is not None:
            code = CODES.get(fault.reason, fault.reason)
            operation["error"] = {"errors": [{"code": code, "message": fault.message}]}
            operation |= {"httpErrorStatusCode": fault.status, "httpErrorMessage": fault.reason}
        self._ended[name].set()

    def get(self, call: Call) -> Json:
        name = call.path["operation"]
        found = self._all.get(name)
        here = str((found or {}).get("zone") or (found or {}).get("region") or "").rpartition("/")[2]
        if found is None or here != (call.zone or call.region):
            raise not_found(f"projects/{self._project}/{self._scope(call)}/operations/{name}")
        return dict(found)

    async def wait(self, call: Call) -> Json:
        """As Google does: until it is done, two minutes at most."""
        self.get(call)
        try:
            async with asyncio.timeout(120):
                await self._ended[call.path["operation"]].wait()
        except TimeoutError:
            pass
        return self.get(call)

    @staticmethod
    def _scope(call: Call) -> str:
        return f"zones/{call.zone}" if call.zone else f"regions/{call.region}" if call.region else "global"
