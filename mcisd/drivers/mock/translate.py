"""From the mock cloud's own objects to the common vocabulary. Pure: in the object and the time, out plain data."""

import base64
import binascii
import hashlib
from dataclasses import replace

from mcisd.drivers import marks
from mcisd.drivers.mock.machine import Machine
from mcisd.drivers.mock.settings import MockSettings
from mcisd.model.cloud import CloudVmState, SpecInfo, VmInfo, VmStatus
from mcisd.model.errors import CloudInvalidError


def tags(given: dict[str, str], installation: str) -> dict[str, str]:
    """The caller's tags and our mark."""
    return {**given, marks.INSTALLATION: installation}


def vm_info(machine: Machine, now: float, stale: float = 0.0) -> VmInfo:
    """All the cloud tells of a VM at ``now`` (monotonic seconds); ``stale`` as for the status."""
    request, state = machine.request, vm_status(machine, now, stale).state
    return VmInfo(
        id=machine.id,
        name=request.name,
        token=request.token,
        state=state,
        region=machine.region,
        zone=request.zone or f"{machine.region}-a",
        public_address=machine.address if machine.addressed else "",
        private_address=machine.private_address if machine.addressed else "",
        guest_user=request.guest_user,
        image_id=request.image_id,
        spec_id=request.spec_id,
        network_id=request.network_id,
        started_at=machine.started_at,
        tags=tags(request.tags, machine.installation),
        reason=machine.reason,
    )


def vm_status(machine: Machine, now: float, stale: float = 0.0) -> VmStatus:
    """The short form for the bulk call; a VM is told as running for ``stale`` seconds after its end was asked for."""
    state = CloudVmState.RUNNING if machine.ended_at <= now < machine.ended_at + stale else machine.look(now)
    return VmStatus(machine.id, machine.request.token, state, machine.reason)


def priced(spec: SpecInfo, region: str, settings: MockSettings) -> SpecInfo:
    """The spec with this region's price."""
    if spec.price is None:
        return spec
    return replace(spec, price=round(spec.price * settings.price_factors.get(region, 1.0), 6))


def fingerprint(public_key: str) -> str:
    """``SHA256:…`` of an OpenSSH public key line; CloudInvalidError if it is none."""
    parts = public_key.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (IndexError, binascii.Error):
        blob = b""
    if not blob:
        raise CloudInvalidError("the public key is not an OpenSSH key line", field="public_key")
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
