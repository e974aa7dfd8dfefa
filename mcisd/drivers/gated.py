"""Connections whose every method passes the gate.

In: a driver, or a connection it opened, and the gate. Out: an object with exactly the handlers that connection has,
so ``isinstance`` against the protocols of base.py still tells the truth.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Protocol, TypeVar, cast

from mcisd.drivers.base import HANDLERS, CloudConnection, CloudDriver, capabilities
from mcisd.drivers.calls import CallGate
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudUnsupportedError

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds: ``timeout`` for one attempt, ``deadline`` for all attempts with the waits between.

    Without ``again`` there is no second attempt where the cloud may have heard the first. What is not ``paced`` sends
    nothing to the cloud.
    """

    timeout: float
    deadline: float
    again: bool = True
    paced: bool = True


READ = Limit(15.0, 60.0)
CHANGE = Limit(30.0, 120.0)
CREATE = Limit(60.0, 300.0)
LIMITS: dict[str, Limit] = {
    "connect": Limit(15.0, 45.0),
    "check": Limit(15.0, 45.0),
    "close": Limit(10.0, 10.0, paced=False),
    "list_regions": READ,
    "list_images": Limit(60.0, 180.0),  # public catalogues are large
    "get_image": READ,
    "list_specs": Limit(60.0, 180.0),
    "get_spec": READ,
    "create_network": CREATE,
    "list_networks": READ,
    "delete_network": CHANGE,
    "create_security_group": CREATE,
    "list_security_groups": READ,
    "delete_security_group": CHANGE,
    "create_key_pair": CREATE,
    "list_key_pairs": READ,
    "delete_key_pair": CHANGE,
    "start_vm": CREATE,
    "suspend_vm": CHANGE,
    "resume_vm": CHANGE,
    "reboot_vm": Limit(30.0, 60.0, again=False),  # a second one would hit a VM that has just come up
    "terminate_vm": CHANGE,
    "list_vm_status": Limit(30.0, 60.0),
    "list_vms": Limit(30.0, 60.0),
    "get_vm": READ,
    "hibernate_vm": CHANGE,
    "console_output": READ,
    "list_quotas": READ,
    "list_owned": Limit(60.0, 180.0),
    "remove_owned": CHANGE,
    "crash_vm": CHANGE,
}
"""Method → limit; a test holds it against base.py."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Names under which a connection's calls are paced and recorded; ``secrets`` are masked in messages."""

    connection: str
    provider: str
    region: str
    account: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)


class GatedConnection:
    """The common part: what every connection has. Made by ``gate``, which adds the handlers."""

    def __init__(self, connection: CloudConnection, calls: CallGate, lane: Lane, limits: Mapping[str, Limit]) -> None:
        self._connection = connection
        self._calls = calls
        self._lane = lane
        self._limits = limits

    async def check(self) -> None:
        await self._call("Connection", "check")

    async def close(self) -> None:
        await self._call("Connection", "close")

    async def _call(self, resource: str, api: str, *args: Any, **kwargs: Any) -> Any:
        work = partial(getattr(self._connection, api), *args, **kwargs)
        return await _through(self._calls, self._lane, self._limits, resource, api, work)


def gate(
    connection: CloudConnection, calls: CallGate, lane: Lane, limits: Mapping[str, Limit] | None = None
) -> CloudConnection:
    """``connection`` with the same handlers, each of whose methods passes ``calls``; ``limits`` override LIMITS."""
    has = frozenset(name for name, present in capabilities(connection).items() if present)
    return _gated_class(has)(connection, calls, lane, {**LIMITS, **(limits or {})})


async def open_connection(
    driver: CloudDriver,
    spec: ConnectionSpec,
    installation: str,
    calls: CallGate,
    *,
    account: str = "",
    limits: Mapping[str, Limit] | None = None,
) -> CloudConnection:
    """Connect through the gate and wrap what comes back: the way the daemon opens a connection.

    ``account`` names the credential where several connections share it, and with it the cloud's limits.
    """
    lane = Lane(spec.name, driver.provider, spec.region, account, tuple(spec.credential.values()))
    table = {**LIMITS, **(limits or {})}
    work = partial(driver.connect, spec, installation)
    return gate(await _through(calls, lane, table, "Connection", "connect", work), calls, lane, limits)


def handler(connection: object, protocol: Callable[..., P]) -> P:
    """``connection`` as one of the protocols of base.py, or CloudUnsupportedError if its cloud lacks it.

    The type is written as a callable because a protocol class may not stand where a type checker expects a class.
    """
    if not isinstance(connection, cast(type, protocol)):
        name = next((name for name, known in HANDLERS.items() if known is protocol), getattr(protocol, "__name__", "?"))
        raise CloudUnsupportedError(
            f"this cloud has no {name} function", remedy="use a connection whose driver lists that capability"
        )
    return cast(P, connection)


async def _through(
    calls: CallGate,
    lane: Lane,
    limits: Mapping[str, Limit],
    resource: str,
    api: str,
    work: Callable[[], Awaitable[Any]],
) -> Any:
    limit = limits[api]
    return await calls.call(
        lane.connection, lane.provider, lane.region, resource, api, work,
        timeout=limit.timeout, deadline=limit.deadline, account=lane.account, secrets=lane.secrets, again=limit.again,
        paced=limit.paced,
    )  # fmt: skip


class _Gated(Protocol):
    async def _call(self, resource: str, api: str, *args: Any, **kwargs: Any) -> Any: ...


def methods(protocol: type) -> list[str]:
    """Names of the methods a handler protocol asks for."""
    return [name for name, member in vars(protocol).items() if callable(member) and not name.startswith("_")]


@cache
def _gated_class(names: frozenset[str]) -> type[GatedConnection]:
    """A class with the methods of these handlers and no others."""
    body = {api: _method(resource, api) for resource in sorted(names) for api in methods(HANDLERS[resource])}
    return type("Gated" + "".join(sorted(names)), (GatedConnection,), body)


def _method(resource: str, api: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: _Gated, *args: Any, **kwargs: Any) -> Any:
        return await self._call(resource, api, *args, **kwargs)

    call.__name__ = call.__qualname__ = api
    return call
