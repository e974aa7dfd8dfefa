"""How clouds and VMs are reached, for controller and api: drivers, gated connections, call history, SSH."""

from dataclasses import dataclass

from mcisd.aio.supervise import TaskSet
from mcisd.daemon.calllog import CallLog
from mcisd.daemon.clouds import Clouds
from mcisd.daemon.fleet.ssh import SshPool
from mcisd.daemon.ground import Ground
from mcisd.daemon.hints import GONE, listen
from mcisd.daemon.inventory import Inventory
from mcisd.daemon.targets import Targets
from mcisd.drivers.calls import CallGate, GateSettings
from mcisd.drivers.ratelimit import Pace as CallPace
from mcisd.drivers.registry import DriverRegistry

OWN_CLOUDS = CallPace(rate=500.0, burst=500, concurrency=64)
"""The pace of our own clouds and of hypervisors: nobody limits them, and a request costs next to nothing."""

OPENSTACK = CallPace(concurrency=8)
"""Neutron gives no answer for minutes when some dozens of ports are asked for at once; eight it bears."""


@dataclass(slots=True)
class Reach:
    registry: DriverRegistry
    clouds: Clouds
    pool: SshPool
    targets: Targets
    inventory: Inventory


def reach(ground: Ground) -> Reach:
    """Everything closed at the end; connections that were deleted elsewhere are closed here, too."""
    host = ground.host
    calls = CallLog(ground.store, ground.clock)
    host.end("call history", calls.drain)
    host.run("call history", calls.run)
    ground.telemetry.add("calls_dropped_total", lambda: calls.dropped)
    ground.telemetry.add("cloud_requests_total", lambda: calls.requests)
    paces = {"local": OWN_CLOUDS, "mock": OWN_CLOUDS, "libvirt": OWN_CLOUDS, "openstack": OPENSTACK}
    gate = CallGate(ground.clock, calls.record, GateSettings(providers=paces))
    registry = DriverRegistry()
    clouds = Clouds(ground.store, registry, gate, ground.vault, ground.installation)
    host.end("clouds", clouds.close)
    closing = TaskSet("close connections")
    host.end("closed connections", closing.close)
    listen(ground.store, GONE, lambda name: _spawn(closing, clouds, name))
    pool = SshPool()
    host.end("ssh", pool.close)
    inventory = Inventory(ground.store, clouds, ground.events, ground.clock)
    return Reach(registry, clouds, pool, Targets(ground.store, ground.vault), inventory)


def _spawn(closing: TaskSet, clouds: Clouds, name: str) -> None:
    closing.spawn(clouds.forget(name))
