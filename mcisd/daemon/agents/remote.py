"""Agents from afar: what any process may ask of the collector that has an agent's link, and that collector's side."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mcisd.daemon.control import Body, Control
from mcisd.daemon.nodes import Nodes
from mcisd.model.errors import HostCommandError, HostUnreachableError
from mcisd.model.records import Vm
from mcisd.model.samples import Schema

MEASURE, FORGET = "measure", "forget"
F64 = NDArray[np.float64]


class Links(Protocol):
    """The agents linked to this process (collectors/receive.py)."""

    async def measure(self, vm: str, timeout: float = 5.0) -> tuple[Schema, int, F64]: ...


class RemoteAgents:
    """Asks whichever collector has the link."""

    def __init__(self, control: Control, nodes: Nodes) -> None:
        self._control = control
        self._nodes = nodes

    async def measure(self, vm: Vm, timeout: float = 5.0) -> tuple[Schema, int, F64]:
        """Have the VM measured now: ``(schema, event time in ms, values)``; NaN is "not measured". HostError if not."""
        self._check(vm)
        answer = await self._control.ask(
            MEASURE, {"vm": vm.uid, "node": vm.agent_node, "timeout": timeout}, timeout + 1.0
        )
        match answer:
            case {"schema": str(schema), "time_ms": int(time_ms), "values": list(values)}:
                numbers = [math.nan if value is None else float(value) for value in values]
                return Schema.from_json(schema), time_ms, np.array(numbers, dtype=np.float64)
        raise HostCommandError(f"the collector of {vm.name} answered nonsense")

    async def forget(self, vms: Sequence[str]) -> None:
        """These VMs are gone for good: their links are cut now, and their tokens are not good any more."""
        await self._control.tell(FORGET, {"vms": list(vms)})

    def _check(self, vm: Vm) -> None:
        if not vm.agent_node or all(node.uid != vm.agent_node for node in self._nodes.alive(draining=True)):
            raise HostUnreachableError(
                f"the agent of {vm.name} is not linked", remedy="wait until it is, or reinstall it"
            )


class AgentDesk:
    """The collector's side. Register it with ``serve_on``."""

    def __init__(self, links: Links, me: Callable[[], str]) -> None:
        self._links = links
        self._me = me

    def serve_on(self, control: Control) -> None:
        control.serve(MEASURE, self._measure)

    async def _measure(self, body: Body) -> Body | None:
        vm, timeout = self._mine(body)
        if not vm:
            return None
        schema, time_ms, values = await self._links.measure(vm, timeout)
        numbers = [None if math.isnan(value) else value for value in values.tolist()]
        return {"schema": schema.to_json(), "time_ms": time_ms, "values": numbers}

    def _mine(self, body: Body) -> tuple[str, float]:
        """The VM meant and the time there is, if this process is the one asked."""
        match body:
            case {"vm": str(vm), "node": str(node), "timeout": int() | float() as timeout} if node == self._me():
                return vm, float(timeout)
        return "", 0.0


def named(body: Body) -> list[str]:
    """The VM uids of a request that names several."""
    found = body.get("vms")
    return [vm for vm in found if isinstance(vm, str)] if isinstance(found, list) else []


def on_forget(control: Control, callbacks: Sequence[Callable[[str], None]]) -> None:
    """Call each of these with every VM that is gone for good."""

    async def forget(body: Body) -> Body | None:
        for vm in named(body):
            for callback in callbacks:
                callback(vm)
        return None

    handler: Callable[[Body], Awaitable[Body | None]] = forget
    control.serve(FORGET, handler)
