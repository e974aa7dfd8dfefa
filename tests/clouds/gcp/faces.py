"""What the stub's parts say to each other: a call, a refusal. In: the server. Out: plain data."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass
class Refusal(Exception):  # noqa: N818 - it becomes an answer
    """An error answer as Google words it."""

    status: int
    reason: str
    message: str
    retry_after: int | None = None

    def body(self) -> Json:
        detail = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [detail]}}


@dataclass(frozen=True)
class Call:
    """One request that fits the document."""

    method: str
    path: dict[str, str]
    query: dict[str, str]
    body: Json

    @property
    def region(self) -> str:
        return self.path.get("region", "")

    @property
    def zone(self) -> str:
        return self.path.get("zone", "")


def not_found(link: str) -> Refusal:
    return Refusal(404, "notFound", f"The resource '{link}' was not found")


def invalid(field: str, value: object, why: str) -> Refusal:
    return Refusal(400, "invalid", f"Invalid value for field '{field}': '{value}'. {why}")


def in_use(link: str, user: str) -> Refusal:
    text = f"The resource '{link}' is already being used by '{user}'"
    return Refusal(400, "resourceInUseByAnotherResource", text)
