"""Events, the daemon itself, and links that open the console."""

from collections.abc import AsyncIterator
from typing import Annotated

from aiohttp import web
from pydantic import Field

from mcisd.daemon.api.routing import Call, Route
from mcisd.daemon.api.schemas.base import Model
from mcisd.daemon.api.schemas.system import EventInfo, LinkInfo, NodeInfo, SystemInfo
from mcisd.daemon.api.streams import Item
from mcisd.daemon.relay import cloud_event
from mcisd.model.errors import InputError
from mcisd.model.events import Event
from mcisd.model.records import Node

STREAM = "text/event-stream"
PAGE = 1000
MOST = 2**63 - 1


class EventQuery(Model):
    after: Annotated[int | None, Field(ge=0, le=MOST, description="sequence; events after it")] = None
    limit: Annotated[int, Field(ge=1, le=PAGE)] = 100
    subject: Annotated[str, Field(max_length=256, description="prefix of the subject")] = ""
    type: Annotated[str, Field(max_length=64, description="prefix of the type")] = ""

    def wants(self, event: Event) -> bool:
        return event.type.startswith(self.type) and _under(event.subject, self.subject)


def _under(subject: str, prefix: str) -> bool:
    return not prefix or subject == prefix or subject.startswith(prefix.rstrip("/") + "/")


async def events(call: Call) -> list[EventInfo] | web.StreamResponse:
    """A page of events; or, for ``Accept: text/event-stream``, all from now (or a place) on."""
    query = call.query_as(EventQuery)
    if STREAM in call.request.headers.get("Accept", ""):
        return await call.services.streams.serve(call.request, _stream(call, query, await _start(call, query)))
    after = query.after
    if after is None:
        after = max(0, await call.services.store.last_sequence() - query.limit)
    found: list[Event] = []
    while len(found) < query.limit:
        page = await call.services.store.events_after(after, PAGE)
        found += [event for event in page if query.wants(event)]
        if len(page) < PAGE:
            break
        after = page[-1].sequence
    return [_shown(call, event) for event in found[: query.limit]]


async def _start(call: Call, query: EventQuery) -> int:
    last = call.request.headers.get("Last-Event-ID", "")
    if last:
        if not (last.isascii() and last.isdigit() and len(last) < 19):
            raise InputError(
                f"Last-Event-ID {last[:40]!r} is no sequence", field="Last-Event-ID", remedy="leave it out"
            )
        return int(last)
    return query.after if query.after is not None else await call.services.store.last_sequence()


async def _stream(call: Call, query: EventQuery, after: int) -> AsyncIterator[Item]:
    yield Item("", None, str(after))
    async for event in call.services.feed.follow(after):
        if query.wants(event):
            yield Item(event.type, cloud_event(event, call.services.installation), str(event.sequence))


def _shown(call: Call, event: Event) -> EventInfo:
    return EventInfo.model_validate(cloud_event(event, call.services.installation))


async def system(call: Call) -> SystemInfo:
    services = call.services
    return SystemInfo(
        version=services.version,
        installation=services.installation,
        started_at=services.started_at,
        roles=list(services.nodes.me.roles),
        nodes=[_node(node) for node in services.nodes.alive(draining=True)],
        services=services.health(),
        counters=services.telemetry.flat(),
    )


def _node(node: Node) -> NodeInfo:
    return NodeInfo(
        name=node.name,
        roles=list(node.roles),
        version=node.program,
        url=node.url,
        collector=node.collector,
        region=node.region,
        draining=node.draining,
        links=node.links,
        frames_per_second=node.frames_per_s,
        started_at=node.created_at,
    )


async def console_link(call: Call) -> LinkInfo:
    code = call.services.access.new_link()
    return LinkInfo(url=f"{call.request.scheme}://{call.request.host}/login?code={code}")


ROUTES = [
    Route(
        "GET",
        "/events",
        "ListEvent",
        "Events: a page, or a stream that resumes by Last-Event-ID",
        events,
        query=EventQuery,
        result=EventInfo,
        many=True,
        stream=True,
    ),
    Route("GET", "/system", "GetSystem", "The daemon itself", system, result=SystemInfo),
    Route(
        "POST",
        "/console-links",
        "CreateConsoleLink",
        "A link that opens the console once, within ten minutes",
        console_link,
        result=LinkInfo,
        status=201,
    ),
]
