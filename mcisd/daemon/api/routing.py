"""Routes as data: each operation states its name, path, models and handler once; server and OpenAPI read the same."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel

if TYPE_CHECKING:
    from mcisd.daemon.api.context import Context

B = TypeVar("B", bound=BaseModel)
PREFIX = "/api/v1"


@dataclass(slots=True)
class Call:
    """One request as a handler sees it: path parameters, validated query and body, and the daemon's services."""

    request: web.Request
    services: "Context"
    path: dict[str, str]
    body: BaseModel | None
    query: BaseModel | None

    def body_as(self, model: type[B]) -> B:
        """The body; its type is the one the route declares."""
        return cast(B, self.body)

    def query_as(self, model: type[B]) -> B:
        return cast(B, self.query)


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. ``result`` is what a success answers with ``status``; ``many`` makes it a list of that."""

    method: str
    path: str
    operation: str
    summary: str
    handler: Handler
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    result: type[BaseModel] | None = None
    many: bool = False
    status: int = 200
    stream: bool = False
    tag: str = ""

    @property
    def full_path(self) -> str:
        return PREFIX + self.path
