"""From rows to answers: what the API shows of each kind. Pure."""

from collections.abc import Callable, Iterable

from mcisd.daemon.api.schemas.federation import (
    ConnectionConfigInfo,
    CredentialInfo,
    KeyValue,
    LocationInfo,
    RegionInfo,
)
from mcisd.daemon.api.schemas.infra import InfraSvcInfo, OperationInfo, StatusInfo, VmInfoBody, VmStatusInfo
from mcisd.daemon.api.schemas.monitoring import CurrentMonitoring, CurrentValue, SeriesBody
from mcisd.daemon.api.schemas.resources import NameSpaceInfo, ResourceInfo
from mcisd.daemon.mcis.status import aggregate, counts
from mcisd.daemon.monitoring import Measured
from mcisd.model.cloud import Location
from mcisd.model.records import Connection, Credential, Mcis, Namespace, Operation, Region, Resource, Vm
from mcisd.model.states import AgentState, VmState
from mcisd.store.series.base import SeriesResult

LastHeard = Callable[[str], float | None]


def location(place: Location | None) -> LocationInfo | None:
    if place is None:
        return None
    return LocationInfo(latitude=place.latitude, longitude=place.longitude, display=place.display)


def credential(row: Credential) -> CredentialInfo:
    return CredentialInfo(
        credential_name=row.name, provider_name=row.provider, keys=list(row.keys), created_at=row.created_at
    )


def region(row: Region) -> RegionInfo:
    return RegionInfo(
        region_name=row.name,
        provider_name=row.provider,
        region=row.region,
        zone=row.zone,
        region_info_list=[KeyValue(key=key, value=value) for key, value in row.info.items()],
        location=location(row.location),
    )


def connection(row: Connection, place: Region | None) -> ConnectionConfigInfo:
    return ConnectionConfigInfo(
        conn_config_name=row.name,
        provider_name=place.info.get("Provider", row.provider) if place else row.provider,
        driver_name=row.driver,
        credential_name=row.credential,
        region_name=row.region,
        region=place.region if place else "",
        location=location(place.location) if place else None,
        checked_at=row.checked_at,
        check_error=row.check_error,
    )


def namespace(row: Namespace) -> NameSpaceInfo:
    return NameSpaceInfo(name=row.name, description=row.description, created_at=row.created_at)


def resource(row: Resource, users: Iterable[Vm] = ()) -> ResourceInfo:
    return ResourceInfo(
        name=row.name,
        kind=row.kind.value,
        conn_config_name=row.connection,
        state=row.state.value,
        cloud_id=row.cloud_id,
        auto=row.auto,
        error=row.error,
        body=row.body,
        info=row.info,
        used_by=[f"{vm.mcis_name}/{vm.name}" for vm in users],
        created_at=row.created_at,
    )


def operation(row: Operation) -> OperationInfo:
    return OperationInfo(
        id=row.uid,
        kind=row.kind,
        name_space=row.ns,
        infra_svc=row.mcis_name,
        state=row.state.value,
        actor=row.actor,
        total=len(row.vms),
        succeeded=row.succeeded,
        failed=row.failed,
        message=row.message,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def vm(row: Vm, names: dict[str, str], last_heard: LastHeard) -> VmInfoBody:
    """``names`` maps resource uids to their names."""
    return VmInfoBody(
        id=row.uid,
        name=row.name,
        infra_svc=row.mcis_name,
        name_space=row.ns,
        state=row.state.value,
        goal=row.goal.value,
        pending=row.pending.value if row.pending else None,
        error=row.error,
        error_code=row.error_code,
        conn_config_name=row.connection,
        provider_name=row.provider,
        region=row.region,
        zone=row.zone,
        location=location(row.location),
        cloud_id=row.cloud_id,
        public_address=row.public_address,
        private_address=row.private_address,
        ssh_port=row.ssh_port,
        guest_user=row.guest_user,
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        price=row.price,
        image=names.get(row.image, ""),
        spec=names.get(row.spec, ""),
        network=names.get(row.network, ""),
        security_group=names.get(row.security_groups[0], "") if row.security_groups else "",
        ssh_key=names.get(row.ssh_key, ""),
        labels=row.labels,
        agent=row.agent.value,
        agent_error=row.agent_error,
        last_sample_at=last_heard(row.uid),
        started_at=row.started_at,
        created_at=row.created_at,
    )


def infra(row: Mcis, vms: list[Vm], names: dict[str, str], last_heard: LastHeard) -> InfraSvcInfo:
    shown = [one for one in vms if not one.disposable]
    billed = [one.price for one in shown if one.state is VmState.RUNNING and one.price is not None]
    return InfraSvcInfo(
        id=row.uid,
        name=row.name,
        name_space=row.ns,
        description=row.description,
        labels=row.labels,
        on_failure=row.on_failure,
        status=aggregate(one.state for one in shown),
        counts=counts(one.state for one in shown),
        price_per_hour=round(sum(billed), 6) if billed else None,
        created_at=row.created_at,
        vms=[vm(one, names, last_heard) for one in shown],
    )


def status(row: Mcis, vms: list[Vm]) -> StatusInfo:
    shown = [one for one in vms if not one.disposable]
    states = [one.state for one in shown]
    return StatusInfo(
        name=row.name,
        status=aggregate(states),
        counts=counts(states),
        total=len(states),
        running=states.count(VmState.RUNNING),
        agents_up=sum(1 for one in shown if one.agent is AgentState.UP),
    )


def vm_status(row: Vm) -> VmStatusInfo:
    return VmStatusInfo(
        name=row.name, state=row.state.value, goal=row.goal.value, agent=row.agent.value, error=row.error
    )


def series(result: SeriesResult) -> SeriesBody:
    return SeriesBody(
        vm=result.vm,
        measurement=result.column.measurement,
        field=result.column.field,
        tags=dict(result.column.tags),
        kind=result.column.kind,
        times=(result.times_ms / 1000).tolist(),
        values=result.values.tolist(),
    )


def measured(one: Measured) -> CurrentMonitoring:
    values = [
        CurrentValue(measurement=c.measurement, field=c.field, tags=dict(c.tags), value=value)
        for c, value in zip(one.columns, one.values, strict=True)
    ]
    return CurrentMonitoring(vm=one.vm, time=one.time, values=values, error=one.error)
