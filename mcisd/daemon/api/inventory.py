"""What a cloud allows us, what of ours is there, what nobody knows any more, and what a VM says on its console."""

from mcisd.daemon.api.routing import Call, Route
from mcisd.daemon.api.schemas.base import Model
from mcisd.daemon.api.schemas.inventory import ConsoleOutput, OrphanRemoval, OwnedObject, Quota
from mcisd.daemon.inventory import Owned
from mcisd.daemon.mcis.rows import need_mcis, need_vm
from mcisd.drivers.base import ConsoleHandler, QuotaHandler
from mcisd.model.errors import StateError


class OrphanQuery(Model):
    force: bool = False


async def list_quotas(call: Call) -> list[Quota]:
    quotas = await call.services.clouds.handler(call.path["connection"], QuotaHandler)
    return [Quota.model_validate(quota) for quota in await quotas.list_quotas()]


async def list_owned(call: Call) -> list[OwnedObject]:
    return [_shown(one) for one in await call.services.inventory.look(call.path["connection"])]


def _shown(one: Owned) -> OwnedObject:
    return OwnedObject(
        kind=one.item.kind,
        id=one.item.id,
        name=one.item.name,
        token=one.item.token,
        tags=one.item.tags,
        known=one.known,
        unknown_since=None if one.known else one.since,
        orphan=one.sure,
    )


async def remove_orphans(call: Call) -> list[OrphanRemoval]:
    force = call.query_as(OrphanQuery).force
    return [
        OrphanRemoval(
            kind=one.owned.item.kind,
            id=one.owned.item.id,
            name=one.owned.item.name,
            outcome=one.fate,
            error=one.why,
        )
        for one in await call.services.inventory.remove(call.path["connection"], force=force)
    ]


async def get_console(call: Call) -> ConsoleOutput:
    async with call.services.store.reading() as tx:
        vm = await need_vm(tx, await need_mcis(tx, call.path["ns"], call.path["infra"]), call.path["vm"])
    if not vm.cloud_id:
        raise StateError(f"VM {vm.name} is not at its cloud yet", field="vmId", remedy="ask when it is Running")
    consoles = await call.services.clouds.handler(vm.connection, ConsoleHandler)
    return ConsoleOutput(vm=vm.name, text=await consoles.console_output(vm.cloud_id))


ROUTES = [
    Route(
        "GET",
        "/connections/{connection}/quotas",
        "ListQuota",
        "What the account may have in the region",
        list_quotas,
        result=Quota,
        many=True,
    ),
    Route(
        "GET",
        "/connections/{connection}/owned",
        "ListOwned",
        "Everything at the cloud with our mark, known here or not",
        list_owned,
        result=OwnedObject,
        many=True,
    ),
    Route(
        "DELETE",
        "/connections/{connection}/orphans",
        "RemoveOrphans",
        "Remove what is ours there and unknown here, if seen so twice within at least 60 s",
        remove_orphans,
        query=OrphanQuery,
        result=OrphanRemoval,
        many=True,
    ),
    Route(
        "GET",
        "/ns/{ns}/infra/{infra}/vms/{vm}/console",
        "GetConsole",
        "What a VM says on its serial console",
        get_console,
        result=ConsoleOutput,
    ),
]
