"""The driver interface: contracts only.

A driver is a class with a no-argument constructor, found through the entry point group ``mcisd.drivers``.
``connect`` opens one connection (credential × region); the connection implements as many of the small handler
protocols below as its cloud has. What it lacks is found with ``isinstance`` and answered with a clear error, never
with a test of the provider's name.

A driver's module must load without its cloud's library, which is imported when a connection is opened: a daemon loads
every driver at start, and most users have few clouds.

Rules that hold for every method, tested by tests/conformance/driver_suite.py:

* It raises only errors of ``mcisd.model.errors`` (CloudError and below). Retries are not its business: calls.py does
  timeout, retry, call history and error counting around every method.
* Creation is idempotent by ``token``: a second call with the same token returns the object of the first, also when
  the first call's answer was lost, and also while lists do not show it yet.
* What a cloud makes in several calls is one creation here: interrupted halfway, the next call with the same token
  goes on where the first one stopped, and ``delete_*`` or ``terminate_vm`` takes all parts away.
* Deletion of what does not exist succeeds.
* Lists return only what carries our tag ``mcisd-installation`` with this installation's id, all pages, in one call.
* A cancelled call may or may not have taken effect; calling again with the same token settles it.
* Each request on the wire is told to ``wire.sent``, and the library's own retries are off.
* Which error for what: a key that is wrong, expired or lacks a permission, and a clock that is off: CloudAuthError with
  a remedy that says which; an unknown region, zone, image or spec, or a certificate that cannot be trusted:
  CloudInvalidError (an unknown object that is referred to may be CloudNotFoundError, too); CloudQuotaError and
  CloudCapacityError for the account's and the cloud's limits; CloudThrottledError with the pause asked for; a server's
  fault, a broken connection, a name that does not resolve: CloudTransientError; no answer: CloudTimeoutError.
"""

from typing import ClassVar, Protocol, runtime_checkable

from mcisd.model.cloud import (
    CloudRegion,
    ConnectionSpec,
    ImageInfo,
    KeyPairInfo,
    KeyPairRequest,
    NetworkInfo,
    NetworkRequest,
    OwnedInfo,
    QuotaInfo,
    SecurityGroupInfo,
    SecurityGroupRequest,
    SpecInfo,
    VmInfo,
    VmRequest,
    VmStatus,
)


class CloudConnection(Protocol):
    """One open connection to one region of one cloud with one credential."""

    async def check(self) -> None:
        """Prove that credential and region work; CloudAuthError or CloudInvalidError with a clear sentence if not."""

    async def close(self) -> None:
        """Give back sockets and threads. Safe to call twice."""


class CloudDriver(Protocol):
    """One kind of cloud."""

    provider: ClassVar[str]
    version: ClassVar[str]
    credential_fields: ClassVar[dict[str, bool]]
    """Names of the credential's key-values → whether the value is required."""
    connection: ClassVar[type]
    """The class of its connections: what the cloud can do is read from it without opening one."""

    async def connect(self, spec: ConnectionSpec, installation: str) -> CloudConnection:
        """Open a connection; ``installation`` is the id that marks what is ours. May not touch other regions."""


@runtime_checkable
class RegionHandler(Protocol):
    async def list_regions(self) -> list[CloudRegion]: ...


@runtime_checkable
class ImageHandler(Protocol):
    async def list_images(self) -> list[ImageInfo]:
        """The newest image of each alias and architecture that the cloud has, and the account's own images."""

    async def get_image(self, image_id: str) -> ImageInfo:
        """By the cloud's id, or by alias: "ubuntu-24.04" (newest, x86_64) or "ubuntu-24.04:arm64".

        CloudNotFoundError if there is none.
        """


@runtime_checkable
class SpecHandler(Protocol):
    async def list_specs(self) -> list[SpecInfo]:
        """The catalogue of this region, with prices where the cloud has a price list."""

    async def get_spec(self, spec_id: str) -> SpecInfo:
        """CloudNotFoundError if there is none of this id."""


@runtime_checkable
class NetworkHandler(Protocol):
    async def create_network(self, request: NetworkRequest) -> NetworkInfo: ...

    async def list_networks(self) -> list[NetworkInfo]: ...

    async def delete_network(self, network_id: str) -> None:
        """CloudConflictError while a VM or security group is in it."""


@runtime_checkable
class SecurityGroupHandler(Protocol):
    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo: ...

    async def list_security_groups(self) -> list[SecurityGroupInfo]: ...

    async def delete_security_group(self, group_id: str) -> None:
        """CloudConflictError while a VM uses it."""


@runtime_checkable
class KeyPairHandler(Protocol):
    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo: ...

    async def list_key_pairs(self) -> list[KeyPairInfo]: ...

    async def delete_key_pair(self, key_id: str) -> None: ...


@runtime_checkable
class VmHandler(Protocol):
    async def start_vm(self, request: VmRequest) -> VmInfo:
        """Ask for a VM; returns once the cloud has accepted it (state ``pending`` is usual), never waits for boot.

        At first boot it gets the user, the key and the host key of the request (drivers/firstboot.py). Its disk,
        network card and public address end with it.
        """

    async def suspend_vm(self, vm_id: str) -> None:
        """Ask for a stop that keeps the disk and ends the charge for the machine; returns when accepted.

        No-op on a stopped VM.
        """

    async def resume_vm(self, vm_id: str) -> None:
        """Ask for a start; no-op on a running VM."""

    async def reboot_vm(self, vm_id: str) -> None:
        """Ask for a restart; CloudConflictError unless running."""

    async def terminate_vm(self, vm_id: str) -> None:
        """Ask for removal with all that belongs to the VM alone; succeeds if it is gone already."""

    async def list_vm_status(self) -> list[VmStatus]:
        """State of every VM of ours in this region, in one (paged) call."""

    async def list_vms(self) -> list[VmInfo]: ...

    async def get_vm(self, vm_id: str) -> VmInfo:
        """CloudNotFoundError if the cloud does not know it (any more)."""


@runtime_checkable
class HibernateHandler(Protocol):
    async def hibernate_vm(self, vm_id: str) -> None:
        """As ``suspend_vm``, but memory is kept: after ``resume_vm`` the programs go on. State ``stopped``."""


@runtime_checkable
class ConsoleHandler(Protocol):
    async def console_output(self, vm_id: str) -> str:
        """The newest text of the serial console, at most 64 KiB; "" before there is any.

        CloudNotFoundError if there is no such VM.
        """


@runtime_checkable
class QuotaHandler(Protocol):
    async def list_quotas(self) -> list[QuotaInfo]:
        """What the account may have in this region, at least "vms" or "vcpus"."""


@runtime_checkable
class InventoryHandler(Protocol):
    async def list_owned(self) -> list[OwnedInfo]:
        """Everything of this installation in this region, leftovers of interrupted creations too.

        One paged call where the cloud can search by tag, else one per kind.
        """

    async def remove_owned(self, item: OwnedInfo) -> None:
        """Remove one of them; succeeds if it is gone, CloudConflictError while something needs it."""


@runtime_checkable
class CrashHandler(Protocol):
    """Clouds for tests and demonstrations only: break a VM as if the cloud had lost it."""

    async def crash_vm(self, vm_id: str) -> None: ...


HANDLERS: dict[str, type] = {
    "Region": RegionHandler,
    "Image": ImageHandler,
    "Spec": SpecHandler,
    "VNetwork": NetworkHandler,
    "Security": SecurityGroupHandler,
    "KeyPair": KeyPairHandler,
    "VM": VmHandler,
    "Hibernate": HibernateHandler,
    "Console": ConsoleHandler,
    "Quota": QuotaHandler,
    "Inventory": InventoryHandler,
    "Crash": CrashHandler,
}
"""Capability name (SYSTEM §4) → protocol."""


def capabilities(connection: object) -> dict[str, bool]:
    """Which handlers a connection (or its class) has."""
    return {name: isinstance(connection, protocol) for name, protocol in HANDLERS.items()}
