"""The driver of the mock cloud: credential "cloud" (which cloud, by name) and "secret".

In: calls of the control core. Out: what MockCloud does with them, in the common vocabulary.
"""

from typing import ClassVar

from mcisd.drivers.mock import errors
from mcisd.drivers.mock.account import MockAccount
from mcisd.drivers.mock.cloud import MockCloud, Region, cloud_named
from mcisd.model.cloud import ConnectionSpec


class MockConnection(MockAccount):
    """One credential in one region of one mock cloud: all handlers of base.py."""

    def __init__(self, cloud: MockCloud, spec: ConnectionSpec, installation: str) -> None:
        self._cloud = cloud
        self._region_name = spec.region
        self._secret = spec.credential.get("secret", "")
        self._installation = installation
        self._closed = False

    async def check(self) -> None:
        await self._cloud.call("check", self._admitted(), lambda now: None)

    async def close(self) -> None:
        self._closed = True

    def _admitted(self) -> Region:
        """The region, if credential and region are right; every call begins with this."""
        if self._closed:
            raise errors.closed()
        if self._secret != self._cloud.settings.secret:
            raise errors.wrong_secret()
        region = self._cloud.regions.get(self._region_name)
        if region is None:
            raise errors.invalid("region", self._region_name)
        return region


class MockDriver:
    """Clouds that exist in this process alone."""

    provider: ClassVar[str] = "mock"
    version: ClassVar[str] = "1"
    credential_fields: ClassVar[dict[str, bool]] = {"cloud": False, "secret": True}
    connection: ClassVar[type] = MockConnection

    async def connect(self, spec: ConnectionSpec, installation: str) -> MockConnection:
        """Never fails: ``check`` tells what is wrong, as do all other calls."""
        cloud = cloud_named(spec.credential.get("cloud", "mock"))
        return MockConnection(cloud, spec, installation)
