"""A driver for clouds whose VMs cannot hibernate, registered by its path."""

from typing import ClassVar

from mcisd.drivers.mock.cloud import cloud_named
from mcisd.drivers.mock.driver import MockConnection, MockDriver
from mcisd.model.cloud import ConnectionSpec


class SleeplessConnection(MockConnection):
    hibernate_vm = None  # type: ignore[assignment] # what is None is a function that is not there


class SleeplessDriver(MockDriver):
    connection: ClassVar[type] = SleeplessConnection

    async def connect(self, spec: ConnectionSpec, installation: str) -> SleeplessConnection:
        return SleeplessConnection(cloud_named(spec.credential["cloud"]), spec, installation)
