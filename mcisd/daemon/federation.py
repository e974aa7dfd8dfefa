"""Cloud federation: drivers, credentials, regions and connections, registered and removed at run time."""

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mcisd.aio.clock import Clock
from mcisd.daemon.clouds import Clouds
from mcisd.daemon.events import EventMaker
from mcisd.daemon.inventory import noted_under
from mcisd.daemon.vault import Vault
from mcisd.drivers.base import CloudDriver, capabilities
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.cloud import Location
from mcisd.model.errors import ConflictError, InputError, InUseError, McisdError, NotFoundError
from mcisd.model.ids import new_id
from mcisd.model.records import CloudDriverRecord, Connection, Credential, Region, Resource, Setting, Vm
from mcisd.store.base import MetadataStore, R, Transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """What checking a connection came to; of a failure what is wrong, with what, and how to mend it."""

    ok: bool
    elapsed_ms: float
    capability: dict[str, bool]
    error: str = ""
    code: str = ""
    field: str = ""
    remedy: str = ""


@dataclass(slots=True)
class Federation:
    store: MetadataStore
    clock: Clock
    events: EventMaker
    registry: DriverRegistry
    clouds: Clouds
    vault: Vault

    async def ensure_drivers(self) -> None:
        """Every installed driver is registered under its own name at start, so that nobody has to; those registered
        already are not even loaded.

        One that cannot be loaded is told in the log and as an event; the others, and the daemon, go on without it.
        """
        async with self.store.reading() as tx:
            known = {row.name for row in await tx.find(CloudDriverRecord)}
        loaded, broken = await self._loaded(name for name in self.registry.names() if name not in known)
        async with self.store.transaction() as tx:
            for name, driver in loaded.items():
                if await tx.first(CloudDriverRecord, name=name) is None:  # another process may have been faster
                    await tx.insert(CloudDriverRecord(uid=new_id("dr"), name=name, provider=driver.provider))
            for name, error in broken.items():
                log.warning("driver %s cannot be used: %s", name, error.message)
                text = f"driver {name} cannot be used: {error.message}"
                await tx.emit(self.events.make("driver.broken", f"drivers/{name}", text, remedy=error.remedy or ""))

    async def _loaded(self, names: Iterable[str]) -> tuple[dict[str, CloudDriver], dict[str, InputError]]:
        """These installed drivers by name, and why some cannot be loaded."""
        loaded: dict[str, CloudDriver] = {}
        broken: dict[str, InputError] = {}
        for name in names:
            try:
                loaded[name] = await asyncio.to_thread(self.registry.load, name)
            except InputError as error:
                broken[name] = error
        return loaded, broken

    async def add_driver(self, name: str, provider: str, path: str) -> CloudDriverRecord:
        driver = self.registry.load(name, path or None)
        if provider not in (driver.provider, name) and path == "":
            raise InputError(
                f"driver {name} serves provider {driver.provider}, not {provider}",
                field="providerName",
                remedy=f"use {driver.provider}",
            )
        async with self.store.transaction() as tx:
            await _free(tx, CloudDriverRecord, name, "driverName")
            return await tx.insert(CloudDriverRecord(uid=new_id("dr"), name=name, provider=provider, path=path))

    async def remove_driver(self, name: str) -> None:
        async with self.store.transaction() as tx:
            row = await need(tx, CloudDriverRecord, name, "driver", "driverName")
            await _unused(tx, "driver", name, driver=name)
            await tx.delete(row)
        self.registry.forget(name)

    async def add_credential(self, name: str, provider: str, values: dict[str, str]) -> Credential:
        await self._check_keys(provider, values)
        sealed = self.vault.seal(json.dumps(values), f"credential:{name}")
        async with self.store.transaction() as tx:
            await _free(tx, Credential, name, "credentialName")
            return await tx.insert(
                Credential(uid=new_id("cr"), name=name, provider=provider, keys=tuple(values), sealed=sealed)
            )

    async def remove_credential(self, name: str) -> None:
        async with self.store.transaction() as tx:
            row = await need(tx, Credential, name, "credential", "credentialName")
            await _unused(tx, "credential", name, credential=name)
            await tx.delete(row)

    async def add_region(self, name: str, provider: str, info: dict[str, str], place: Location | None) -> Region:
        region = info.get("Region") or info.get("region")
        if not region:
            raise InputError(
                "the region's key-values name no region",
                field="regionInfoList",
                remedy='add {"key": "Region", "value": "…"}',
            )
        row = Region(
            uid=new_id("rg"), name=name, provider=provider, region=region, zone=info.get("Zone", ""), info=info,
            location=place,
        )  # fmt: skip
        async with self.store.transaction() as tx:
            await _free(tx, Region, name, "regionName")
            return await tx.insert(row)

    async def remove_region(self, name: str) -> None:
        async with self.store.transaction() as tx:
            row = await need(tx, Region, name, "region", "regionName")
            await _unused(tx, "region", name, region=name)
            await tx.delete(row)

    async def add_connection(self, name: str, driver: str, credential: str, region: str) -> Connection:
        """All three parts must exist; whether they work is a check's business."""
        async with self.store.transaction() as tx:
            await _free(tx, Connection, name, "connConfigName")
            row = await _part(tx, CloudDriverRecord, driver, "driver", "driverName")
            await _part(tx, Credential, credential, "credential", "credentialName")
            await _part(tx, Region, region, "region", "regionName")
            return await tx.insert(
                Connection(
                    uid=new_id("cn"),
                    name=name,
                    provider=row.provider,
                    driver=driver,
                    credential=credential,
                    region=region,
                )
            )

    async def remove_connection(self, name: str) -> None:
        async with self.store.transaction() as tx:
            row = await need(tx, Connection, name, "connection", "connConfigName")
            vm = await tx.first(Vm, connection=name)
            if vm is not None:
                raise InUseError(
                    f"connection {name} is used by VM {vm.mcis_name}/{vm.name}",
                    field="connConfigName",
                    remedy="terminate and delete its VMs first",
                )
            left = await tx.first(Resource, connection=name)
            if left is not None:
                raise InUseError(
                    f"connection {name} still has {left.kind} {left.name} in namespace {left.ns}",
                    field="connConfigName",
                    remedy="delete it first; automatic ones go by themselves soon after their last VM",
                )
            await tx.delete(row)
            noted = await tx.get(Setting, noted_under(name))
            if noted is not None:
                await tx.delete(noted)
        await self.clouds.forget(name)

    async def check(self, name: str) -> Check:
        """Prove that a connection works; the outcome is kept with it. NotFoundError if there is none."""
        async with self.store.reading() as tx:
            await need(tx, Connection, name, "connection", "connConfigName")
        begun = time.perf_counter()
        error, capability = None, dict[str, bool]()
        try:
            connection = await self.clouds.connection(name)
            capability = capabilities(connection)
            await connection.check()
        except McisdError as failure:
            error = failure
        elapsed = (time.perf_counter() - begun) * 1000
        message = error.message if error else ""
        async with self.store.transaction() as tx:
            row = await need(tx, Connection, name, "connection", "connConfigName")
            await tx.update(replace(row, checked_at=self.clock.now(), check_error=message))
            text = f"connection {name} works" if not error else f"connection {name} does not work: {message}"
            await tx.emit(self.events.make("connection.checked", f"connections/{name}", text, ok=not error))
        if error is None:
            return Check(True, elapsed, capability)
        return Check(False, elapsed, capability, message, error.code, error.field or "", error.remedy or "")

    async def _check_keys(self, provider: str, values: dict[str, str]) -> None:
        """The credential's keys must be those the provider's driver knows; unknown providers are not judged."""
        async with self.store.reading() as tx:
            rows = {row.name: row.provider for row in await tx.find(CloudDriverRecord)}
        # Installed drivers that nobody has registered yet may be for this provider, too.
        names = [name for name in self.registry.names() if rows.get(name, provider) == provider]
        for driver in (await self._loaded(names))[0].values():
            if driver.provider != provider:
                continue
            missing = [key for key, required in driver.credential_fields.items() if required and not values.get(key)]
            unknown = [key for key in values if key not in driver.credential_fields]
            known = ", ".join(driver.credential_fields)
            if missing or unknown:
                what = f"lacks {missing[0]!r}" if missing else f"has the unknown key {unknown[0]!r}"
                raise InputError(
                    f"a credential for {provider} {what}", field="keyValueInfoList", remedy=f"its keys are: {known}"
                )
            return


async def need(tx: Transaction, kind: type[R], name: str, what: str, field: str) -> R:
    found = await tx.first(kind, name=name)
    if found is None:
        raise NotFoundError(f"there is no {what} {name!r}", field=field, remedy=f"list the {what}s that there are")
    return found


async def _part(tx: Transaction, kind: type[R], name: str, what: str, field: str) -> R:
    found = await tx.first(kind, name=name)
    if found is None:
        raise InputError(f"there is no {what} {name!r}", field=field, remedy=f"register the {what} first")
    return found


async def _free(tx: Transaction, kind: type[R], name: str, field: str) -> None:
    if await tx.first(kind, name=name) is not None:
        raise ConflictError(f"the name {name!r} is taken", field=field, remedy="choose another name")


async def _unused(tx: Transaction, what: str, name: str, **where: str) -> None:
    user = await tx.first(Connection, **where)
    if user is not None:
        raise InUseError(
            f"{what} {name} is used by connection {user.name}",
            field=f"{what}Name",
            remedy="delete that connection first",
        )
