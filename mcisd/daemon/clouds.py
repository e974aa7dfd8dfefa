"""Open connections to clouds by name: one gated connection per config, kept open, re-made when it changes."""

import asyncio
import json
from collections.abc import Callable
from typing import TypeVar

from mcisd.daemon.vault import Vault
from mcisd.drivers.base import CloudConnection
from mcisd.drivers.calls import CallGate
from mcisd.drivers.gated import handler, open_connection
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import NotFoundError
from mcisd.model.records import CloudDriverRecord, Connection, Credential, Region
from mcisd.store.base import MetadataStore

P = TypeVar("P")
Fingerprint = tuple[str, str, int, str, int]
FRESH = 1.0
"""Seconds for which what was read of a connection config is believed: it is asked for with every call to a cloud."""


class Clouds:
    """Hands out gated connections; closes them all at the end."""

    def __init__(
        self, store: MetadataStore, registry: DriverRegistry, gate: CallGate, vault: Vault, installation: str
    ) -> None:
        self._store = store
        self._registry = registry
        self._gate = gate
        self._vault = vault
        self._installation = installation
        self._open: dict[str, tuple[Fingerprint, CloudConnection]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._read_at: dict[str, float] = {}

    async def connection(self, name: str) -> CloudConnection:
        """The open connection of this name; NotFoundError, or the CloudError that opening it met."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            now = asyncio.get_running_loop().time()
            if name in self._open and now - self._read_at.get(name, -FRESH) < FRESH:
                return self._open[name][1]
            fingerprint, spec, driver_name, path, account = await self._facts(name)
            self._read_at[name] = now
            known = self._open.get(name)
            if known is not None and known[0] == fingerprint:
                return known[1]
            if known is not None:
                del self._open[name]
                await known[1].close()
            driver = self._registry.load(driver_name, path)
            opened = await open_connection(driver, spec, self._installation, self._gate, account=account)
            self._open[name] = (fingerprint, opened)
            return opened

    async def handler(self, name: str, protocol: Callable[..., P]) -> P:
        """The connection as one of the protocols of drivers/base.py; CloudUnsupportedError if its cloud lacks it."""
        return handler(await self.connection(name), protocol)

    async def forget(self, name: str) -> None:
        """Close the connection of this name, if it is open."""
        known = self._open.pop(name, None)
        if known is not None:
            await known[1].close()

    async def close(self) -> None:
        for name in list(self._open):
            await self.forget(name)

    async def _facts(self, name: str) -> tuple[Fingerprint, ConnectionSpec, str, str | None, str]:
        async with self._store.reading() as tx:
            connection = await tx.first(Connection, name=name)
            if connection is None:
                raise NotFoundError(
                    f"there is no connection {name!r}", field="connConfigName", remedy="create it first"
                )
            credential = await tx.first(Credential, name=connection.credential)
            region = await tx.first(Region, name=connection.region)
            driver = await tx.first(CloudDriverRecord, name=connection.driver)
        if credential is None or region is None:
            raise NotFoundError(
                f"connection {name!r} lost its credential or region", field="connConfigName", remedy="make it anew"
            )
        values: dict[str, str] = json.loads(self._vault.open(credential.sealed, f"credential:{credential.name}"))
        spec = ConnectionSpec(name, region.region, region.zone or None, values, region.info)
        path = driver.path or None if driver else None
        fingerprint = (connection.uid, credential.uid, credential.version, region.uid, region.version)
        return fingerprint, spec, connection.driver, path, credential.name
