"""Fault proxies before the services, with common rules. In: a control plane's plan. Out: addresses for the driver."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.clouds.openstack_config import Plan
from tests.clouds.proxy import FaultProxy, Reply, Rule, Seen

Json = dict[str, Any]
SERVICES = ("keystone", "nova", "neutron", "glance")
KINDS = ("servers", "networks", "security_groups", "keypairs")
"""Collections that a lag may hide."""


@dataclass
class Front:
    """``urls`` by service; a rule added to ``rules`` holds for all of them."""

    urls: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)

    @asynccontextmanager
    async def rule(self, rule: Rule) -> AsyncIterator[Rule]:
        """The rule holds inside."""
        self.rules.append(rule)
        try:
            yield rule
        finally:
            self.rules.remove(rule)


@asynccontextmanager
async def front(plan: Plan) -> AsyncIterator[Front]:
    """Proxies that run while inside."""
    made = Front()
    async with AsyncExitStack() as stack:
        for service in SERVICES:
            proxy = await stack.enter_async_context(FaultProxy(plan.url(service)))
            proxy.rules = made.rules
            made.urls[service] = proxy.url
        yield made


def changes(seen: Seen) -> bool:
    """Whether a request creates or changes something; getting a token does not."""
    return seen.method in ("POST", "PUT", "DELETE") and not seen.path.endswith("/auth/tokens")


def authenticates(seen: Seen) -> bool:
    return seen.path.endswith("/auth/tokens")


def lists(seen: Seen) -> bool:
    return seen.method == "GET" and any(key in seen.path for key in ("/servers/detail", *KINDS, "/security-groups"))


def refusal(status: int, body: Json, **headers: str) -> Callable[[Seen], Reply]:
    """An answer like the services' own."""
    told = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return lambda _: Reply(status, json.dumps(body).encode(), told)


class Lag:
    """Lists that stand still: they hide what was made since, and show what was removed since."""

    def __init__(self, *, hide: bool) -> None:
        self._hide = hide
        self._known: dict[str, Json] = {}
        self._first = True

    def learn(self, found: list[Json]) -> None:
        """What lists show from now on."""
        self._known = {item["id"]: item for item in found}

    def change(self, _: Seen, answer: Reply) -> Reply:
        """The server's answer as it was when the lag began."""
        body = json.loads(answer.body)
        for key in KINDS:
            items = body.get(key)
            if isinstance(items, list) and items and "id" in items[0] and self._hide:
                body[key] = [item for item in items if item["id"] in self._known]
            elif isinstance(items, list) and key == "servers" and not self._hide:
                there = {item["id"] for item in items}
                body[key] = items + [item for item in self._known.values() if item["id"] not in there]
        headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-length"}
        return Reply(answer.status, json.dumps(body).encode(), headers)
