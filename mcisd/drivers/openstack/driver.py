"""The driver of OpenStack clouds. In: a connection's values. Out: a connection with all handlers but Crash.

It speaks to keystone v3, nova 2.1, neutron 2.0 and glance 2 with a client of its own, without OpenStack's libraries.
"""

from typing import ClassVar

from mcisd.drivers.openstack.catalogue import Catalogue
from mcisd.drivers.openstack.client import Client
from mcisd.drivers.openstack.cloudsyaml import entry
from mcisd.drivers.openstack.inventory import Inventory
from mcisd.drivers.openstack.launch import Launch
from mcisd.drivers.openstack.once import Memory
from mcisd.drivers.openstack.settings import CREDENTIAL_FIELDS, settings
from mcisd.model.cloud import ConnectionSpec


class OpenStackConnection(Launch, Inventory, Catalogue):
    """One credential in one region of one cloud."""

    async def check(self) -> None:
        """Get a token, find the region in the catalogue, see that nova answers, and find the external network."""
        await self._client.get("nova", "limits")
        if self._settings.external_network:
            await self._external_id()

    async def close(self) -> None:
        await self._works.close()
        await self._client.close()


class OpenStackDriver:
    """Clouds of OpenStack, and those that speak as it does."""

    provider: ClassVar[str] = "openstack"
    version: ClassVar[str] = "1"
    credential_fields: ClassVar[dict[str, bool]] = CREDENTIAL_FIELDS
    connection: ClassVar[type] = OpenStackConnection

    def __init__(self) -> None:
        self._memory = Memory()

    async def connect(self, spec: ConnectionSpec, installation: str) -> OpenStackConnection:
        """Read the values (and a clouds.yaml if they name one); the network is touched by the first call."""
        source, cloud = spec.credential.get("clouds_yaml", ""), spec.credential.get("cloud", "")
        values = settings(spec, await entry(source, cloud) if source else None)
        return OpenStackConnection(Client(values), installation, self._memory)
