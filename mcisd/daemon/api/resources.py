"""Namespaces, and the five kinds of resources: the same four operations for each kind."""

from collections.abc import Awaitable, Callable

from mcisd.daemon.api import views
from mcisd.daemon.api.routing import Call, Route
from mcisd.daemon.api.schemas.base import Model
from mcisd.daemon.api.schemas.resources import (
    ImageRequest,
    NameSpaceInfo,
    NameSpaceRequest,
    NameSpaceUpdate,
    NetworkRequestBody,
    ResourceInfo,
    SecurityGroupRequestBody,
    SpecRequest,
    SshKeyRequest,
)
from mcisd.daemon.mcis.rows import need_namespace
from mcisd.daemon.resources.decide import users
from mcisd.daemon.resources.service import need_resource
from mcisd.model.records import Namespace, Resource, Vm
from mcisd.model.states import ResourceKind

Handler = Callable[[Call], Awaitable[object]]


async def create_namespace(call: Call) -> NameSpaceInfo:
    body = call.body_as(NameSpaceRequest)
    return views.namespace(await call.services.resources.create_namespace(body.name, body.description))


async def list_namespaces(call: Call) -> list[NameSpaceInfo]:
    async with call.services.store.reading() as tx:
        return [views.namespace(row) for row in await tx.find(Namespace, order="name")]


async def get_namespace(call: Call) -> NameSpaceInfo:
    async with call.services.store.reading() as tx:
        return views.namespace(await need_namespace(tx, call.path["ns"]))


async def update_namespace(call: Call) -> NameSpaceInfo:
    body = call.body_as(NameSpaceUpdate)
    return views.namespace(await call.services.resources.update_namespace(call.path["ns"], body.description))


async def delete_namespace(call: Call) -> None:
    await call.services.resources.delete_namespace(call.path["ns"])


def _body(request: Model) -> tuple[str, str, dict[str, object]]:
    """``(name, connection, body of the row)`` of any of the five requests."""
    match request:
        case ImageRequest():
            return request.name, request.conn_config_name, {"cloud_id": request.cloud_image_id}
        case SpecRequest():
            return request.name, request.conn_config_name, {"cloud_id": request.cloud_spec_id}
        case NetworkRequestBody():
            return request.name, request.conn_config_name, {"cidr": request.cidr_block, "subnets": request.subnets}
        case SecurityGroupRequestBody():
            rules = [rule.model_dump() for rule in request.rules]
            return request.name, request.conn_config_name, {"network": request.network_id, "rules": rules}
        case SshKeyRequest():
            return request.name, request.conn_config_name, {"public_key": request.public_key}
    raise TypeError(f"no resource request: {type(request).__name__}")


def _create(kind: ResourceKind, model: type[Model]) -> Handler:
    async def create(call: Call) -> ResourceInfo:
        name, connection, body = _body(call.body_as(model))
        return views.resource(await call.services.resources.create(call.path["ns"], kind, name, connection, body))

    return create


def _list(kind: ResourceKind) -> Handler:
    async def list_all(call: Call) -> list[ResourceInfo]:
        async with call.services.store.reading() as tx:
            await need_namespace(tx, call.path["ns"])
            rows = await tx.find(Resource, ns=call.path["ns"], kind=kind.value, order="name")
            vms = await tx.find(Vm, ns=call.path["ns"])
        return [views.resource(row, users(row, vms)) for row in rows]

    return list_all


def _get(kind: ResourceKind) -> Handler:
    async def get(call: Call) -> ResourceInfo:
        async with call.services.store.reading() as tx:
            row = await need_resource(tx, call.path["ns"], kind, call.path["name"])
            return views.resource(row, users(row, await tx.find(Vm, ns=row.ns)))

    return get


def _delete(kind: ResourceKind) -> Handler:
    async def delete(call: Call) -> None:
        await call.services.resources.delete(call.path["ns"], kind, call.path["name"])

    return delete


async def delete_image(call: Call) -> None:
    await call.services.resources.delete_image(call.path["ns"], call.path["name"])


def _family(
    kind: ResourceKind, segment: str, noun: str, create: str, remove: str, model: type[Model], words: str
) -> list[Route]:
    base = f"/ns/{{ns}}/{segment}"
    return [
        Route(
            "POST", base, f"{create}{noun}", words, _create(kind, model), body=model, result=ResourceInfo, status=201
        ),
        Route("GET", base, f"List{noun}", f"List: {words}", _list(kind), result=ResourceInfo, many=True),
        Route(
            "GET", f"{base}/{{name}}", f"Get{noun}", "One, with the VMs that use it", _get(kind), result=ResourceInfo
        ),
        Route(
            "DELETE", f"{base}/{{name}}", f"{remove}{noun}", "Remove one that nothing uses", _delete(kind), status=204
        ),
    ]


ROUTES = [
    Route(
        "POST",
        "/ns",
        "CreateNameSpace",
        "Make a namespace",
        create_namespace,
        body=NameSpaceRequest,
        result=NameSpaceInfo,
        status=201,
    ),
    Route("GET", "/ns", "ListNameSpace", "List namespaces", list_namespaces, result=NameSpaceInfo, many=True),
    Route("GET", "/ns/{ns}", "GetNameSpace", "One namespace", get_namespace, result=NameSpaceInfo),
    Route(
        "PUT",
        "/ns/{ns}",
        "UpdateNameSpace",
        "Change its description",
        update_namespace,
        body=NameSpaceUpdate,
        result=NameSpaceInfo,
    ),
    Route("DELETE", "/ns/{ns}", "DeleteNameSpace", "Delete an empty namespace", delete_namespace, status=204),
    *_family(ResourceKind.IMAGE, "images", "Image", "Register", "UnRegister", ImageRequest, "a VM image of a cloud"),
    *_family(ResourceKind.SPEC, "specs", "Spec", "Register", "UnRegister", SpecRequest, "a VM size of a cloud"),
    *_family(ResourceKind.NETWORK, "networks", "Network", "Create", "Delete", NetworkRequestBody, "a virtual network"),
    *_family(
        ResourceKind.SECURITY_GROUP,
        "securityGroups",
        "SecurityGroup",
        "Create",
        "Delete",
        SecurityGroupRequestBody,
        "firewall rules",
    ),
    *_family(ResourceKind.SSH_KEY, "sshKeys", "SshKey", "Create", "Delete", SshKeyRequest, "an SSH key pair"),
    Route(
        "DELETE",
        "/ns/{ns}/customImages/{name}",
        "DeleteImage",
        "Delete an image made from a VM, also at its cloud",
        delete_image,
        status=204,
    ),
]
