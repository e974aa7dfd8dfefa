"""Drivers, credentials, regions, connections, call history."""

import asyncio
from typing import Annotated

from pydantic import Field

from mcisd.daemon.api import views
from mcisd.daemon.api.routing import Call, Route
from mcisd.daemon.api.schemas.base import Model
from mcisd.daemon.api.schemas.federation import (
    CallHistoryRow,
    CheckResult,
    CloudDriverInfo,
    CloudDriverRequest,
    ConnectionConfigInfo,
    ConnectionConfigRequest,
    CredentialInfo,
    CredentialRequest,
    KeyValue,
    RegionInfo,
    RegionRequest,
)
from mcisd.daemon.api.schemas.resources import CatalogueImage, CatalogueSpec
from mcisd.daemon.federation import need
from mcisd.drivers.base import ImageHandler, SpecHandler, capabilities
from mcisd.model.cloud import Location
from mcisd.model.errors import InputError
from mcisd.model.records import Call as CallRow
from mcisd.model.records import CloudDriverRecord, Connection, Credential, Region

NO_CONTENT = 204


class CallQuery(Model):
    connection: Annotated[str, Field(max_length=63)] = ""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 200


async def register_driver(call: Call) -> CloudDriverInfo:
    body = call.body_as(CloudDriverRequest)
    row = await call.services.federation.add_driver(body.driver_name, body.provider_name, body.driver_path)
    return await _driver(call, row)


async def list_drivers(call: Call) -> list[CloudDriverInfo]:
    async with call.services.store.reading() as tx:
        rows = await tx.find(CloudDriverRecord, order="name")
    return [await _driver(call, row) for row in rows]


async def get_driver(call: Call) -> CloudDriverInfo:
    async with call.services.store.reading() as tx:
        row = await need(tx, CloudDriverRecord, call.path["driver"], "driver", "driverName")
    return await _driver(call, row)


async def unregister_driver(call: Call) -> None:
    await call.services.federation.remove_driver(call.path["driver"])


async def _driver(call: Call, row: CloudDriverRecord) -> CloudDriverInfo:
    """The driver as it is; one that cannot be loaded any more says why."""
    try:
        driver = await asyncio.to_thread(call.services.registry.load, row.name, row.path or None)
    except InputError as error:
        return CloudDriverInfo(
            driver_name=row.name, provider_name=row.provider, driver_path=row.path, error=error.message
        )
    return CloudDriverInfo(
        driver_name=row.name,
        provider_name=row.provider,
        driver_path=row.path,
        version=driver.version,
        credential_keys=driver.credential_fields,
        capability=capabilities(driver.connection),
    )


async def register_credential(call: Call) -> CredentialInfo:
    body = call.body_as(CredentialRequest)
    values = _pairs(body.key_value_info_list, "keyValueInfoList")
    return views.credential(
        await call.services.federation.add_credential(body.credential_name, body.provider_name, values)
    )


async def list_credentials(call: Call) -> list[CredentialInfo]:
    async with call.services.store.reading() as tx:
        return [views.credential(row) for row in await tx.find(Credential, order="name")]


async def get_credential(call: Call) -> CredentialInfo:
    async with call.services.store.reading() as tx:
        return views.credential(await need(tx, Credential, call.path["credential"], "credential", "credentialName"))


async def unregister_credential(call: Call) -> None:
    await call.services.federation.remove_credential(call.path["credential"])


async def register_region(call: Call) -> RegionInfo:
    body = call.body_as(RegionRequest)
    info = _pairs(body.region_info_list, "regionInfoList")
    at = body.location
    place = Location(at.latitude, at.longitude, at.display) if at else None
    return views.region(await call.services.federation.add_region(body.region_name, body.provider_name, info, place))


async def list_regions(call: Call) -> list[RegionInfo]:
    async with call.services.store.reading() as tx:
        return [views.region(row) for row in await tx.find(Region, order="name")]


async def get_region(call: Call) -> RegionInfo:
    async with call.services.store.reading() as tx:
        return views.region(await need(tx, Region, call.path["region"], "region", "regionName"))


async def unregister_region(call: Call) -> None:
    await call.services.federation.remove_region(call.path["region"])


async def create_connection(call: Call) -> ConnectionConfigInfo:
    body = call.body_as(ConnectionConfigRequest)
    row = await call.services.federation.add_connection(
        body.conn_config_name, body.driver_name, body.credential_name, body.region_name
    )
    call.services.hints.connections([row.name])
    return await _connection(call, row.name)


async def list_connections(call: Call) -> list[ConnectionConfigInfo]:
    async with call.services.store.reading() as tx:
        regions = {row.name: row for row in await tx.find(Region)}
        return [views.connection(row, regions.get(row.region)) for row in await tx.find(Connection, order="name")]


async def get_connection(call: Call) -> ConnectionConfigInfo:
    return await _connection(call, call.path["connection"])


async def _connection(call: Call, name: str) -> ConnectionConfigInfo:
    async with call.services.store.reading() as tx:
        row = await need(tx, Connection, name, "connection", "connConfigName")
        return views.connection(row, await tx.first(Region, name=row.region))


async def delete_connection(call: Call) -> None:
    name = call.path["connection"]
    await call.services.federation.remove_connection(name)
    call.services.hints.connection_gone(name)


async def check_connection(call: Call) -> CheckResult:
    name = call.path["connection"]
    found = await call.services.federation.check(name)
    return CheckResult(
        conn_config_name=name,
        ok=found.ok,
        elapsed_ms=found.elapsed_ms,
        error=found.error,
        code=found.code,
        field=found.field,
        remedy=found.remedy,
        capability=found.capability,
    )


async def catalogue_specs(call: Call) -> list[CatalogueSpec]:
    specs = await call.services.clouds.handler(call.path["connection"], SpecHandler)
    return [CatalogueSpec.model_validate(spec) for spec in await specs.list_specs()]


async def catalogue_images(call: Call) -> list[CatalogueImage]:
    images = await call.services.clouds.handler(call.path["connection"], ImageHandler)
    return [CatalogueImage.model_validate(image) for image in await images.list_images()]


async def call_history(call: Call) -> list[CallHistoryRow]:
    query = call.query_as(CallQuery)
    where = {"connection": query.connection} if query.connection else {}
    async with call.services.store.reading() as tx:
        rows = await tx.find(CallRow, descending=True, limit=query.limit, **where)
    return [
        CallHistoryRow(
            time=row.created_at,
            connection=row.connection,
            provider=row.provider,
            region=row.region,
            resource=row.resource,
            api=row.api,
            elapsed_ms=row.elapsed_ms,
            attempt=row.attempt,
            requests=row.requests,
            error_code=row.error_code,
            error=row.error,
        )
        for row in rows
    ]


def _pairs(items: list[KeyValue], field: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for index, item in enumerate(items):
        if item.key in pairs:
            raise InputError(f"key {item.key!r} is there twice", field=f"{field}[{index}].key", remedy="give it once")
        pairs[item.key] = item.value
    return pairs


ROUTES = [
    Route(
        "POST",
        "/drivers",
        "RegisterCloudDriver",
        "Register a driver",
        register_driver,
        body=CloudDriverRequest,
        result=CloudDriverInfo,
        status=201,
    ),
    Route("GET", "/drivers", "ListCloudDriver", "List drivers", list_drivers, result=CloudDriverInfo, many=True),
    Route("GET", "/drivers/{driver}", "GetCloudDriver", "One driver", get_driver, result=CloudDriverInfo),
    Route(
        "DELETE", "/drivers/{driver}", "UnRegisterCloudDriver", "Forget a driver", unregister_driver, status=NO_CONTENT
    ),
    Route(
        "POST",
        "/credentials",
        "RegisterCredential",
        "Register a credential; its values are kept encrypted",
        register_credential,
        body=CredentialRequest,
        result=CredentialInfo,
        status=201,
    ),
    Route(
        "GET",
        "/credentials",
        "ListCredential",
        "List credentials, without their values",
        list_credentials,
        result=CredentialInfo,
        many=True,
    ),
    Route(
        "GET",
        "/credentials/{credential}",
        "GetCredential",
        "One credential, without its values",
        get_credential,
        result=CredentialInfo,
    ),
    Route(
        "DELETE",
        "/credentials/{credential}",
        "UnRegisterCredential",
        "Forget a credential",
        unregister_credential,
        status=NO_CONTENT,
    ),
    Route(
        "POST",
        "/regions",
        "RegisterRegion",
        "Register a region",
        register_region,
        body=RegionRequest,
        result=RegionInfo,
        status=201,
    ),
    Route("GET", "/regions", "ListRegion", "List regions", list_regions, result=RegionInfo, many=True),
    Route("GET", "/regions/{region}", "GetRegion", "One region", get_region, result=RegionInfo),
    Route("DELETE", "/regions/{region}", "UnRegisterRegion", "Forget a region", unregister_region, status=NO_CONTENT),
    Route(
        "POST",
        "/connections",
        "CreateConnectionConfig",
        "Driver × credential × region under one name",
        create_connection,
        body=ConnectionConfigRequest,
        result=ConnectionConfigInfo,
        status=201,
    ),
    Route(
        "GET",
        "/connections",
        "ListConnectionConfig",
        "List connections",
        list_connections,
        result=ConnectionConfigInfo,
        many=True,
    ),
    Route(
        "GET",
        "/connections/{connection}",
        "GetConnectionConfig",
        "One connection",
        get_connection,
        result=ConnectionConfigInfo,
    ),
    Route(
        "DELETE",
        "/connections/{connection}",
        "DeleteConnectionConfig",
        "Delete a connection that nothing uses",
        delete_connection,
        status=NO_CONTENT,
    ),
    Route(
        "POST",
        "/connections/{connection}/check",
        "CheckConnectionConfig",
        "Prove that it works",
        check_connection,
        result=CheckResult,
    ),
    Route(
        "GET",
        "/connections/{connection}/specs",
        "ListCatalogueSpec",
        "Specs of the cloud, with prices",
        catalogue_specs,
        result=CatalogueSpec,
        many=True,
    ),
    Route(
        "GET",
        "/connections/{connection}/images",
        "ListCatalogueImage",
        "Images of the cloud",
        catalogue_images,
        result=CatalogueImage,
        many=True,
    ),
    Route(
        "GET",
        "/calls",
        "ListCallHistory",
        "Calls to clouds, newest first",
        call_history,
        query=CallQuery,
        result=CallHistoryRow,
        many=True,
    ),
]
