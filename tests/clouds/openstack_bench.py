"""What the driver suite needs to know about OpenStack. In: a running cloud, its front. Out: a bench with trouble.

Quota, missing capacity, missing permission and the expired key are the real services' own answers; the others come of
the proxies before them.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from time import time
from typing import TypeVar

from mcisd.model.cloud import ConnectionSpec
from tests.clouds.openstack import OpenStack
from tests.clouds.openstack_admin import NEVER_FULL
from tests.clouds.openstack_config import REGION, policy
from tests.clouds.openstack_front import Front, Lag, authenticates, changes, lists, refusal
from tests.clouds.proxy import Reply, Rule, Seen
from tests.conformance.driver_bench import DriverBench, Trouble

T = TypeVar("T")
CREATE_RULE = "os_compute_api:servers:create"


def spec(front: Front, credential: dict[str, str], **more: str) -> ConnectionSpec:
    """A connection through the front; with ``external_network`` it has routers and floating IPs, which take long."""
    info = {
        "auth_url": f"{front.urls['keystone']}/v3", "compute_endpoint": f"{front.urls['nova']}/v2.1",
        "network_endpoint": front.urls["neutron"], "image_endpoint": front.urls["glance"],
        "latitude": "37.57", "longitude": "126.98",
    }  # fmt: skip
    return ConnectionSpec("conformance", REGION, None, credential, {**info, **more})


@dataclass(kw_only=True)
class OpenStackBench(DriverBench):
    """``expired`` is an application credential whose time is over; ``tls`` the address of a server nobody trusts."""

    cloud: OpenStack
    front: Front
    expired: dict[str, str]
    tls: str

    async def settle(self) -> None:
        await asyncio.sleep(0.15)

    @asynccontextmanager
    async def trouble(self, kind: Trouble, times: int = 1) -> AsyncIterator[None]:
        match kind:
            case Trouble.EXPIRED_KEY:
                whole, self.spec = self.spec, replace(self.spec, credential=self.expired)
                yield
                self.spec = whole
            case Trouble.QUOTA:
                async with self._operator(partial(self._quota, 0), partial(self._quota, NEVER_FULL["instances"])):
                    yield
            case Trouble.NO_CAPACITY:
                hosts = self.cloud.admin.hosts
                async with self._operator(partial(hosts, enabled=False), partial(hosts, enabled=True)):
                    yield
            case Trouble.NO_PERMISSION:
                async with self._operator(partial(self._policy, {CREATE_RULE: "!"}), partial(self._policy, {})):
                    yield
            case Trouble.LATE_LISTS | Trouble.STALE_LISTS:
                async with self._lag(hide=kind is Trouble.LATE_LISTS):
                    yield
            case _:
                async with self.front.rule(_fault(kind, times)):
                    yield

    async def remove_by_hand(self, vm_id: str) -> None:
        await asyncio.to_thread(self.cloud.admin.ask, "nova", "DELETE", f"servers/{vm_id}")

    async def first_boot(self, vm_id: str) -> str:
        """What nova would put onto the config drive."""
        told = await asyncio.to_thread(self.cloud.admin.ask, "nova", "GET", f"servers/{vm_id}")
        return base64.b64decode(told["server"]["OS-EXT-SRV-ATTR:user_data"]).decode()

    def unreachable(self, how: str) -> ConnectionSpec:
        url = f"{self.tls}/v3" if how == "tls" else "http://no-such-host.invalid:5000/v3"
        return replace(self.spec, region_info={**self.spec.region_info, "auth_url": url})

    @asynccontextmanager
    async def _operator(self, before: Callable[[], None], after: Callable[[], None]) -> AsyncIterator[None]:
        await asyncio.to_thread(before)
        try:
            yield
        finally:
            await asyncio.to_thread(after)

    def _quota(self, instances: int) -> None:
        self.cloud.admin.quota(self.cloud.tenant.project_id, instances=instances)

    def _policy(self, rules: dict[str, str]) -> None:
        """Nova reads this file again when it has changed."""
        (self.cloud.plan.folder / "etc/nova/policy.yaml").write_text(policy(rules))

    @asynccontextmanager
    async def _lag(self, *, hide: bool) -> AsyncIterator[None]:
        lag = Lag(hide=hide)
        found: list[dict[str, object]] = []
        for service, path, key in (
            ("nova", "servers/detail?all_tenants=1", "servers"),
            ("neutron", "networks", "networks"),
            ("neutron", "security-groups", "security_groups"),
        ):
            found += (await asyncio.to_thread(self.cloud.admin.ask, service, "GET", path))[key]
        lag.learn(found)
        async with self.front.rule(Rule(lists, change=lag.change)):
            yield


def _fault(kind: Trouble, times: int) -> Rule:
    """The rule of the proxies that brings this trouble."""
    if kind is Trouble.THROTTLED:
        body = {"overLimit": {"code": 413, "message": "This request was rate-limited.", "retryAfter": "1"}}
        return Rule(changes, reply=refusal(413, body, Retry_After="1"), times=times)
    if kind is Trouble.BROKEN_SERVER:
        body = {"computeFault": {"code": 500, "message": "Unexpected API Error."}}
        return Rule(changes, reply=refusal(500, body), times=times)
    if kind is Trouble.LOST_ANSWER:
        return Rule(changes, lose=True, times=times)
    if kind is Trouble.CLOCK_SKEW:
        return Rule(authenticates, reply=_skewed)
    raise AssertionError(f"{kind} has no rule")


def _skewed(_: Seen) -> Reply:
    body = {"error": {"code": 401, "message": "The request you have made requires authentication."}}
    headers = {"Content-Type": "application/json", "Date": formatdate(time() + 3600, usegmt=True)}
    return Reply(401, json.dumps(body).encode(), headers)
