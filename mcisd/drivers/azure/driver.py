"""The Azure driver. In: a connection's key-values. Out: a connection whose methods speak to Azure's resource manager.

The library is loaded when a connection is opened, not with this module.
"""

from typing import ClassVar

from mcisd.drivers.azure.catalogue import AzureCatalogue
from mcisd.drivers.azure.inventory import AzureInventory
from mcisd.drivers.azure.session import Session, open_session
from mcisd.drivers.azure.settings import FIELDS, settings_of
from mcisd.model.cloud import ConnectionSpec


class AzureConnection(AzureCatalogue, AzureInventory):
    """One credential in one region: all handlers of base.py but Crash."""

    def __init__(self, session: Session, installation: str) -> None:
        super().__init__(session, installation)
        self._tokens = {}
        self._specs = (0.0, [])

    async def close(self) -> None:
        await self._session.close()


class AzureDriver:
    """Microsoft Azure, and clouds with the same interface at another endpoint."""

    provider: ClassVar[str] = "azure"
    version: ClassVar[str] = "1"
    credential_fields: ClassVar[dict[str, bool]] = FIELDS
    connection: ClassVar[type] = AzureConnection

    async def connect(self, spec: ConnectionSpec, installation: str) -> AzureConnection:
        """Sends nothing: ``check`` tells what is wrong, as do all other calls."""
        return AzureConnection(await open_session(settings_of(spec)), installation)
