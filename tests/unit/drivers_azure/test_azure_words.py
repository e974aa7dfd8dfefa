"""Azure's answers in our words: states, rules, addresses, errors. In: JSON, statuses. Out: our nouns and errors."""

import json
from email.utils import formatdate

import pytest

from mcisd.drivers.azure import translate
from mcisd.drivers.azure.catalogue import spec_of
from mcisd.drivers.azure.errors import (
    ResourceGroupMissingError,
    VmExistsError,
    error_of,
    fault_of,
    login_error,
    retry_after,
)
from mcisd.drivers.azure.prices import Prices
from mcisd.model.cloud import CloudVmState, FirewallRule
from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTransientError,
    CloudUnsupportedError,
)

NOW = 1_700_000_000.0
State = CloudVmState
CORES = "Operation could not be completed as it results in exceeding approved Total Regional Cores quota."


def answered(status: int, code: str, message: str = "m", headers: dict[str, str] | None = None) -> CloudError:
    body = json.dumps({"error": {"code": code, "message": message}})
    return error_of(fault_of(status, body, headers or {}, NOW))


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (409, "SkuNotAvailable", "m", CloudCapacityError),
        (409, "AllocationFailed", "m", CloudCapacityError),
        (409, "ZonalAllocationFailed", "m", CloudCapacityError),
        (409, "OverconstrainedAllocationRequest", "m", CloudCapacityError),
        (409, "OperationNotAllowed", CORES, CloudQuotaError),
        (409, "OperationNotAllowed", "VM is being deleted", CloudConflictError),
        (409, "OperationNotAllowed", "Hibernation is not enabled", CloudUnsupportedError),
        (400, "QuotaExceeded", "m", CloudQuotaError),
        (400, "PublicIPCountLimitReached", "m", CloudQuotaError),
        (400, "SubnetIsFull", "m", CloudQuotaError),
        (400, "InUseSubnetCannotBeDeleted", "m", CloudConflictError),
        (400, "InUseNetworkSecurityGroupCannotBeDeleted", "m", CloudConflictError),
        (400, "PublicIPAddressCannotBeDeleted", "m", CloudConflictError),
        (400, "NicInUse", "m", CloudConflictError),
        (409, "Conflict", "m", CloudConflictError),
        (409, "ScopeLocked", "m", CloudConflictError),
        (404, "ResourceGroupNotFound", "m", ResourceGroupMissingError),
        (404, "ResourceNotFound", "m", CloudNotFoundError),
        (404, "NotFound", "m", CloudNotFoundError),
        (404, "PlatformImageNotFound", "m", CloudNotFoundError),
        (404, "SubscriptionNotFound", "m", CloudAuthError),
        (403, "AuthorizationFailed", "m", CloudAuthError),
        (403, "Whatever", "m", CloudAuthError),
        (401, "InvalidAuthenticationToken", "m", CloudAuthError),
        (401, "ExpiredAuthenticationToken", "m", CloudAuthError),
        (412, "PreconditionFailed", "m", VmExistsError),
        (429, "TooManyRequests", "m", CloudThrottledError),
        (429, "", "m", CloudThrottledError),
        (409, "SubscriptionRequestsThrottled", "m", CloudThrottledError),
        (429, "RetryableError", "m", CloudThrottledError),
        (409, "RetryableError", "m", CloudTransientError),
        (409, "AnotherOperationInProgress", "m", CloudTransientError),
        (409, "ReferencedResourceNotProvisioned", "m", CloudTransientError),
        (500, "InternalServerError", "m", CloudTransientError),
        (503, "", "m", CloudTransientError),
        (400, "InvalidParameter", "m", CloudInvalidError),
        (400, "InvalidResourceReference", "m", CloudInvalidError),
        (400, "LocationNotAvailableForResourceType", "m", CloudInvalidError),
        (409, "MissingSubscriptionRegistration", "m", CloudInvalidError),
        (418, "Strange", "m", CloudInvalidError),
        (200, "", "a page of a proxy", CloudTransientError),
    ],
)
def test_errors(status: int, code: str, message: str, kind: type[CloudError]) -> None:
    assert type(answered(status, code, message)) is kind


def test_details_tell_where_the_outer_code_does_not() -> None:
    inner = {"code": "AllocationFailed", "message": "no room"}
    body = {"error": {"code": "MultipleErrorsOccurred", "message": "see details", "details": [inner]}}
    error = error_of(fault_of(400, json.dumps(body), {}, NOW))
    assert isinstance(error, CloudCapacityError)
    assert "no room" in error.message
    assert "\n" not in error_of(fault_of(400, '{"error":{"code":"X","message":"a\\nb"}}', {}, NOW)).message


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", '"x"', '{"error": "text"}', '{"error": {"details": 3}}'])
def test_bodies_that_are_none(body: str) -> None:
    assert isinstance(error_of(fault_of(500, body, {}, NOW)), CloudTransientError)


def test_the_clock_is_named() -> None:
    for seconds, side in ((1200, "behind"), (-1200, "ahead")):
        error = answered(401, "InvalidAuthenticationToken", headers={"Date": formatdate(NOW + seconds, usegmt=True)})
        assert f"clock is 1200 s {side}" in error.message
    right = answered(401, "InvalidAuthenticationToken", headers={"Date": formatdate(NOW + 5, usegmt=True)})
    assert "clock" not in right.message


def test_the_action_is_named() -> None:
    text = (
        "The client 'x' does not have authorization to perform action 'Microsoft.Compute/disks/write' over scope '/s'."
    )
    assert "Microsoft.Compute/disks/write" in answered(403, "AuthorizationFailed", text).message


def test_pauses() -> None:
    assert retry_after({"retry-after": "12"}) == 12.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    error = answered(429, "TooManyRequests", headers={"Retry-After": "9"})
    assert isinstance(error, CloudThrottledError)
    assert error.retry_after == 9.0


@pytest.mark.parametrize(
    ("number", "field"),
    [("7000215", "client_secret"), ("7000222", "client_secret"), ("700016", "client_id"), ("90002", "tenant_id")],
)
def test_logins_that_fail(number: str, field: str) -> None:
    error = login_error(401, f"AADSTS{number}: something with s3cret in it", None)
    assert isinstance(error, CloudAuthError)
    assert (error.field, bool(error.remedy)) == (field, True)
    assert "s3cret" not in error.message


def test_logins_that_are_not_our_fault() -> None:
    assert isinstance(login_error(503, "", fault_of(503, "", {}, NOW)), CloudTransientError)
    assert isinstance(login_error(429, "", fault_of(429, "", {"Retry-After": "3"}, NOW)), CloudThrottledError)
    assert "clock" in (login_error(400, "AADSTS700024: x", None).remedy or "")


def vm(provisioning: str = "Succeeded", *codes: str) -> dict[str, object]:
    view = {"statuses": [{"code": code, "displayStatus": "why"} for code in codes]}
    return {"name": "VM-1", "properties": {"provisioningState": provisioning, "instanceView": view}}


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (vm("Creating"), State.PENDING),
        (vm("Creating", "ProvisioningState/creating", "PowerState/starting"), State.PENDING),
        (vm("Succeeded", "ProvisioningState/succeeded", "PowerState/running"), State.RUNNING),
        (vm("Updating", "ProvisioningState/updating", "PowerState/deallocating"), State.STOPPING),
        (vm("Succeeded", "PowerState/stopped"), State.STOPPED),
        (vm("Succeeded", "PowerState/deallocated", "HibernationState/Hibernated"), State.STOPPED),
        (vm("Deleting", "PowerState/running"), State.TERMINATING),
        (vm("Failed", "ProvisioningState/failed/AllocationFailed"), State.FAILED),
        (vm("Failed", "ProvisioningState/failed/OSProvisioningTimedOut", "PowerState/running"), State.RUNNING),
        (vm("Failed", "ProvisioningState/failed/AllocationFailed", "PowerState/deallocated"), State.STOPPED),
        (vm("Failed"), State.FAILED),
        ({"statuses": [{"code": "PowerState/running"}]}, State.RUNNING),
    ],
)
def test_states(body: dict[str, object], state: CloudVmState) -> None:
    assert translate.state_of(body)[0] is state


def test_a_failure_has_a_reason() -> None:
    assert translate.state_of(vm("Failed", "ProvisioningState/failed/AllocationFailed"))[1] == "AllocationFailed: why"
    assert translate.state_of(vm("Failed"))[1]


@pytest.mark.parametrize(
    "rule",
    [
        FirewallRule("inbound", "tcp", 22, 22, "0.0.0.0/0"),
        FirewallRule("inbound", "udp", 1000, 2000, "10.0.0.0/8"),
        FirewallRule("outbound", "all", 0, 65535, "0.0.0.0/0"),
        FirewallRule("inbound", "icmp", 0, 65535, "192.0.2.0/24"),
    ],
)
def test_rules_come_back_as_they_went(rule: FirewallRule) -> None:
    body = translate.rule_body(rule, 3)
    assert translate.rule_of(body) == rule
    assert body["properties"]["priority"] == 103


def test_regions_that_are_places() -> None:
    seoul = {"name": "koreacentral", "metadata": {"regionType": "Physical", "latitude": "37.5", "longitude": "126.9"}}
    region = translate.region_of({**seoul, "availabilityZoneMappings": [{"logicalZone": "2"}, {"logicalZone": "1"}]})
    assert region is not None
    assert (region.location.latitude, region.zones) == (37.5, ("1", "2"))
    assert translate.region_of({"name": "asia", "metadata": {"regionType": "Logical"}}) is None
    assert translate.region_of({"name": "x"}) is None


def test_times_with_any_number_of_decimals() -> None:
    assert translate.seconds_of("2024-01-01T00:00:00.1234567Z") == pytest.approx(1704067200.123456)
    assert translate.seconds_of("2024-01-01T00:00:00+00:00") == 1704067200.0
    assert translate.seconds_of(None) is None
    assert translate.seconds_of("yesterday") is None


def test_tags_of_ours_stay_inside() -> None:
    body = {"tags": {"mcisd-installation": "i", "mcisd-token": "t", "mcisd-name": "n", "mcisd-user": "u", "team": "x"}}
    assert translate.public_tags(body) == {"mcisd-installation": "i", "team": "x"}
    assert translate.public_tags({"tags": None}) == {}


def test_quotas() -> None:
    cores = translate.quota_of({"name": {"value": "cores"}, "limit": 100, "currentValue": 7})
    assert (cores.name, cores.limit, cores.used) == ("vcpus", 100, 7)
    assert translate.quota_of({"name": {"value": "x"}, "limit": -1}).limit is None


def test_sizes() -> None:
    able = {"vCPUs": "4", "vCPUsAvailable": "2", "MemoryGB": "0.5", "MaxResourceVolumeMB": "4096", "GPUs": "1"}
    row = {
        "resourceType": "virtualMachines",
        "name": "S",
        "capabilities": [{"name": name, "value": value} for name, value in able.items()],
        "restrictions": [{"type": "Zone", "values": ["here"]}],
    }
    spec = spec_of(row, "here", Prices({"S": 0.5}, "2026-01-01"))
    assert spec is not None
    assert (spec.vcpus, spec.memory_mib, spec.disk_gib, spec.gpus, spec.price) == (2, 512, 4, 1, 0.5)
    assert spec_of({**row, "restrictions": [{"type": "Location", "values": ["HERE"]}]}, "here", Prices()) is None
    assert spec_of({**row, "resourceType": "disks"}, "here", Prices()) is None
    assert spec_of({**row, "capabilities": []}, "here", Prices()) is None
