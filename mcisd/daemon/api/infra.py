"""MCIS and VMs: desired state in, operations to follow out."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import Field

from mcisd.daemon.abilities import need_hibernation
from mcisd.daemon.api import views
from mcisd.daemon.api.routing import Call, Route
from mcisd.daemon.api.schemas.base import Model
from mcisd.daemon.api.schemas.infra import (
    CommandAnswer,
    CommandOutput,
    CommandRequest,
    ExpandRequest,
    InfraSvcInfo,
    InfraSvcRequest,
    OperationInfo,
    StatusInfo,
    VmInfoBody,
    VmRequestBody,
    VmStatusInfo,
)
from mcisd.daemon.fleet.target import CommandResult
from mcisd.daemon.mcis.requests import Caller, McisRequest, VmGroup
from mcisd.daemon.mcis.rows import need_mcis, need_namespace, need_vm
from mcisd.model.errors import HostError, InputError, NotFoundError
from mcisd.model.records import Mcis, Operation, Resource, Vm
from mcisd.model.states import Action, OperationState
from mcisd.store.base import Transaction

Handler = Callable[[Call], Awaitable[object]]
WAIT_STEP = 0.1


class WaitQuery(Model):
    wait: Annotated[float, Field(ge=0, le=30, description="seconds to wait for the end")] = 0.0


class SuspendQuery(Model):
    hibernate: Annotated[bool, Field(description="keep the memory, too")] = False


class OperationQuery(Model):
    state: OperationState | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


def caller(call: Call) -> Caller:
    """Who asks, with the request's Idempotency-Key if it has one."""
    key = call.request.headers.get("Idempotency-Key")
    if key is None:
        return Caller()
    if not 1 <= len(key) <= 128:
        raise InputError(
            "Idempotency-Key is empty or too long", field="Idempotency-Key", remedy="use 1 to 128 characters"
        )
    text = call.body.model_dump_json() if call.body else ""
    where = f"{call.request.path}?{call.request.query_string}".removesuffix("?")
    digest = hashlib.sha256(f"{call.request.method} {where} {text}".encode()).hexdigest()
    return Caller(key=f"user:{key}", request_hash=digest)


def _groups(items: list[VmRequestBody]) -> tuple[VmGroup, ...]:
    return tuple(
        VmGroup(
            name=item.name,
            connection=item.conn_config_name,
            count=item.count,
            image=item.image_id,
            spec=item.spec_id,
            network=item.network_id,
            security_group=item.security_id,
            ssh_key=item.key_id,
            zone=item.zone,
            labels=item.labels,
        )
        for item in items
    )


async def create(call: Call) -> OperationInfo:
    body = call.body_as(InfraSvcRequest)
    request = McisRequest(
        name=body.name,
        groups=_groups(body.vm_request_list),
        description=body.description,
        labels=body.labels,
        on_failure=body.on_failure,
    )
    return views.operation(await call.services.mcis.create(call.path["ns"], request, caller(call)))


async def expand(call: Call) -> OperationInfo:
    groups = _groups(call.body_as(ExpandRequest).vm_request_list)
    return views.operation(await call.services.mcis.expand(call.path["ns"], call.path["infra"], groups, caller(call)))


async def list_infra(call: Call) -> list[InfraSvcInfo]:
    async with call.services.store.reading() as tx:
        await need_namespace(tx, call.path["ns"])
        rows = await tx.find(Mcis, ns=call.path["ns"], order="name")
        return [await _infra(call, tx, row) for row in rows]


async def list_all_infra(call: Call) -> list[InfraSvcInfo]:
    async with call.services.store.reading() as tx:
        return [await _infra(call, tx, row) for row in await tx.find(Mcis, order="name")]


async def get_infra(call: Call) -> InfraSvcInfo:
    async with call.services.store.reading() as tx:
        return await _infra(call, tx, await need_mcis(tx, call.path["ns"], call.path["infra"]))


async def _infra(call: Call, tx: Transaction, row: Mcis) -> InfraSvcInfo:
    vms = await tx.find(Vm, mcis=row.uid, order="name")
    names = {resource.uid: resource.name for resource in await tx.find(Resource, ns=row.ns)}
    return views.infra(row, vms, names, call.services.last_heard)


async def infra_status(call: Call) -> StatusInfo:
    async with call.services.store.reading() as tx:
        row = await need_mcis(tx, call.path["ns"], call.path["infra"])
        return views.status(row, await tx.find(Vm, mcis=row.uid))


async def delete_infra(call: Call) -> None:
    await call.services.mcis.delete(call.path["ns"], call.path["infra"])


async def get_vm(call: Call) -> VmInfoBody:
    async with call.services.store.reading() as tx:
        row = await need_vm(tx, await need_mcis(tx, call.path["ns"], call.path["infra"]), call.path["vm"])
        names = {resource.uid: resource.name for resource in await tx.find(Resource, ns=row.ns)}
    return views.vm(row, names, call.services.last_heard)


async def vm_status(call: Call) -> VmStatusInfo:
    async with call.services.store.reading() as tx:
        mcis = await need_mcis(tx, call.path["ns"], call.path["infra"])
        return views.vm_status(await need_vm(tx, mcis, call.path["vm"]))


async def delete_vm(call: Call) -> None:
    await call.services.mcis.delete_vm(call.path["ns"], call.path["infra"], call.path["vm"])


def _control(action: Action) -> Handler:
    async def control(call: Call) -> OperationInfo:
        ns, infra = call.path["ns"], call.path["infra"]
        hibernate = await _hibernate(call, action)
        wishes = await call.services.mcis.control(ns, infra, action, caller(call), hibernate=hibernate)
        return views.operation(wishes.operation)

    return control


def _control_vm(action: Action) -> Handler:
    async def control(call: Call) -> OperationInfo:
        path = call.path
        hibernate = await _hibernate(call, action)
        wishes = await call.services.mcis.control_vm(
            path["ns"], path["infra"], path["vm"], action, caller(call), hibernate=hibernate
        )
        return views.operation(wishes.operation)

    return control


async def _hibernate(call: Call, action: Action) -> bool:
    """Whether a suspension shall keep the memory; refused before anything is done if a cloud cannot."""
    if action is not Action.SUSPEND or not call.query_as(SuspendQuery).hibernate:
        return False
    services, path = call.services, call.path
    await need_hibernation(services.store, services.registry, path["ns"], path["infra"], path.get("vm", ""))
    return True


async def retry(call: Call) -> OperationInfo:
    return views.operation(await call.services.mcis.retry(call.path["ns"], call.path["infra"], caller(call)))


async def rollback(call: Call) -> OperationInfo:
    return views.operation(await call.services.mcis.rollback(call.path["ns"], call.path["infra"], caller(call)))


async def command(call: Call) -> CommandAnswer:
    body = call.body_as(CommandRequest)
    outcomes = await call.services.commander.run(
        call.path["ns"], call.path["infra"], body.command, vms=body.vms, timeout=body.timeout_s
    )
    return CommandAnswer(results=[_output(name, outcome) for name, outcome in outcomes.items()])


async def command_vm(call: Call) -> CommandOutput:
    body = call.body_as(CommandRequest)
    name = call.path["vm"]
    outcomes = await call.services.commander.run(
        call.path["ns"], call.path["infra"], body.command, vms=[name], timeout=body.timeout_s
    )
    return _output(name, outcomes[name])


def _output(name: str, outcome: CommandResult | HostError) -> CommandOutput:
    if isinstance(outcome, HostError):
        return CommandOutput(
            vm=name, exit_status=None, stdout="", stderr="", truncated=False, elapsed_s=0.0, error=outcome.message
        )
    return CommandOutput(
        vm=name,
        exit_status=outcome.exit_status,
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        truncated=outcome.truncated,
        elapsed_s=outcome.elapsed_s,
        error=f"ended by signal {outcome.signal}" if outcome.signal else "",
    )


async def list_operations(call: Call) -> list[OperationInfo]:
    query = call.query_as(OperationQuery)
    where = {"state": query.state.value} if query.state else {}
    async with call.services.store.reading() as tx:
        rows = await tx.find(Operation, descending=True, limit=query.limit, **where)
    return [views.operation(row) for row in rows]


async def get_operation(call: Call) -> OperationInfo:
    """The operation; with ``wait``, as soon as it is finished or the time is over."""
    end = call.services.clock.monotonic() + call.query_as(WaitQuery).wait
    while True:
        async with call.services.store.reading() as tx:
            row = await tx.get(Operation, call.path["operation"])
        if row is None:
            raise NotFoundError(
                f"there is no operation {call.path['operation']!r}",
                field="operationId",
                remedy="list them with GET /api/v1/operations",
            )
        left = end - call.services.clock.monotonic()
        if row.state is not OperationState.RUNNING or left <= 0:
            return views.operation(row)
        await call.services.clock.sleep(min(WAIT_STEP, left))


def _actions() -> list[Route]:
    routes = []
    for action in (Action.SUSPEND, Action.RESUME, Action.REBOOT, Action.TERMINATE):
        word = action.value.capitalize()
        path, one = f"{INFRA}/{action}", f"{VM}/{action}"
        query = SuspendQuery if action is Action.SUSPEND else None
        routes += [
            Route(
                "POST",
                path,
                f"{word}InfraSvc",
                f"{word} all VMs",
                _control(action),
                query=query,
                result=OperationInfo,
                status=202,
            ),
            Route(
                "POST",
                one,
                f"{word}Vm",
                f"{word} one VM",
                _control_vm(action),
                query=query,
                result=OperationInfo,
                status=202,
            ),
        ]
    return routes


INFRA = "/ns/{ns}/infra/{infra}"
VM = INFRA + "/vms/{vm}"
ROUTES = [
    Route(
        "POST",
        "/ns/{ns}/infra",
        "CreateInfraSvc",
        "Launch a group of VMs as one object",
        create,
        body=InfraSvcRequest,
        result=OperationInfo,
        status=202,
    ),
    Route("GET", "/ns/{ns}/infra", "ListInfraSvc", "List, with VMs", list_infra, result=InfraSvcInfo, many=True),
    Route("GET", "/infra", "ListAllInfraSvc", "List of all namespaces", list_all_infra, result=InfraSvcInfo, many=True),
    Route("GET", INFRA, "GetInfraSvc", "One, with its VMs", get_infra, result=InfraSvcInfo),
    Route("GET", f"{INFRA}/status", "GetInfraSvcStatus", "State of all VMs together", infra_status, result=StatusInfo),
    Route("DELETE", INFRA, "DeleteInfraSvc", "Delete one whose VMs are all gone", delete_infra, status=204),
    Route("POST", f"{INFRA}/retry", "RetryInfraSvc", "Make failed VMs anew", retry, result=OperationInfo, status=202),
    Route(
        "POST",
        f"{INFRA}/rollback",
        "RollbackInfraSvc",
        "Undo the newest create or expand that failed in part",
        rollback,
        result=OperationInfo,
        status=202,
    ),
    Route(
        "POST",
        f"{INFRA}/vms",
        "ExpandInfraSvc",
        "Add VMs",
        expand,
        body=ExpandRequest,
        result=OperationInfo,
        status=202,
    ),
    Route("GET", VM, "GetVm", "One VM", get_vm, result=VmInfoBody),
    Route("GET", f"{VM}/status", "GetVmStatus", "State of one VM", vm_status, result=VmStatusInfo),
    Route("DELETE", VM, "DeleteVm", "Delete a VM that is Terminated or Failed", delete_vm, status=204),
    *_actions(),
    Route(
        "POST",
        f"{INFRA}/command",
        "CommandInfraSvc",
        "Run a command on every running VM",
        command,
        body=CommandRequest,
        result=CommandAnswer,
    ),
    Route(
        "POST",
        f"{VM}/command",
        "CommandVm",
        "Run a command on one VM",
        command_vm,
        body=CommandRequest,
        result=CommandOutput,
    ),
    Route(
        "GET",
        "/operations",
        "ListOperation",
        "Operations, newest first",
        list_operations,
        query=OperationQuery,
        result=OperationInfo,
        many=True,
    ),
    Route(
        "GET",
        "/operations/{operation}",
        "GetOperation",
        "One operation",
        get_operation,
        query=WaitQuery,
        result=OperationInfo,
    ),
]
