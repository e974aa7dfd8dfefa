"""Long-running operations. In: the answer that began one. Out: its end, or the error it ended with.

Azure answers a change with 201 or 202 and the address of an operation. The library asks for its state with a polling
object; this one asks nothing where nothing is waited for, or where the answer says that all is done, and it never gets
the object once more at the end.
"""

import asyncio
import time
from typing import Any

from mcisd.drivers.azure.errors import Fault, error_of, fault_of, retry_after
from mcisd.model.errors import CloudInvalidError, CloudTimeoutError

_DONE = {"succeeded"}
_OVER = {"failed", "canceled", "cancelled"}


class Operation:
    """One operation; ``bound`` is how many seconds it is waited for, 0 for not at all."""

    def __init__(self, bound: float, interval: float) -> None:
        self._bound = bound
        self._interval = interval
        self._client: Any = None
        self._initial: Any = None

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
        """Called by the library with its pipeline and the first answer."""
        self._client = client
        self._initial = initial_response

    def status(self) -> str:
        return "InProgress"

    def finished(self) -> bool:
        return False

    def resource(self) -> dict[str, Any]:
        """The body of the first answer."""
        return body_of(self._initial.http_response)

    async def run(self) -> None:
        """CloudTimeoutError after the bound; else the error the operation ended with, if it did."""
        first = self._initial.http_response
        if not self._bound or _settled(first):
            return
        url = first.headers.get("Azure-AsyncOperation") or first.headers.get("Location") or str(first.request.url)
        request = type(self._initial.http_request)
        end, answer = time.monotonic() + self._bound, first
        while True:
            pause = retry_after(answer.headers) or self._interval
            if time.monotonic() + pause > end:
                raise CloudTimeoutError(f"Azure has not finished within {self._bound:.0f} s; it goes on with it")
            await asyncio.sleep(pause)
            answer = await self._client.send_request(request("GET", url))
            if _ended(answer):
                return


def body_of(response: Any) -> dict[str, Any]:
    """The JSON object of an answer; {} if it has none."""
    if response.status_code == 204 or not response.content:
        return {}
    body = response.json()
    return body if isinstance(body, dict) else {}


def _settled(first: Any) -> bool:
    """Whether the first answer says that nothing is left to wait for."""
    if first.status_code == 204:
        return True
    state = str(body_of(first).get("properties", {}).get("provisioningState", "")).lower()
    if state in _DONE:
        return True
    if first.status_code == 202:
        return False
    return "Azure-AsyncOperation" not in first.headers and not state


def _ended(answer: Any) -> bool:
    """Whether a poll's answer tells the end; raises if it was a failure."""
    if answer.status_code >= 400:
        raise error_of(fault_of(answer.status_code, answer.text(), answer.headers, time.time()))
    body = body_of(answer)
    state = str(body.get("status") or body.get("properties", {}).get("provisioningState", "")).lower()
    if state in _OVER:
        raise _failure(answer, body)
    return state in _DONE if state else answer.status_code != 202


def _failure(answer: Any, body: dict[str, Any]) -> Exception:
    """An operation's own report: its status is 200, so only the code tells what went wrong."""
    fault = fault_of(0, answer.text(), {}, time.time())
    if not isinstance(body.get("error"), dict):
        return CloudInvalidError("Azure says that the operation failed, and not why")
    return error_of(Fault(400, fault.code, fault.message, {}, fault.now))
