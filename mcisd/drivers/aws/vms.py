"""VMs. In: requests and ids. Out: EC2's instances as our nouns.

One request makes a VM: RunInstances with a client token made of ours, which EC2 honours also when lists do not show the
VM yet. Where EC2 says that the token's VM is terminated, it is found by its tag.
"""

import re

from mcisd.drivers import firstboot, marks
from mcisd.drivers.aws import translate
from mcisd.drivers.aws.catalogue import AwsImages, AwsSpecs
from mcisd.drivers.aws.link import Document
from mcisd.drivers.aws.networks import AwsNetworks
from mcisd.model.cloud import CloudVmState, VmInfo, VmRequest, VmStatus
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError, CloudTransientError, CloudUnsupportedError

VM_ID = re.compile(r"i-[0-9a-z]{1,40}")
SPENT = ("IdempotentInstanceTerminated", "IdempotentParameterMismatch")
CONSOLE_LIMIT = 64 * 1024
PAGE = 1000
SMALL_DISK = 8
"""GiB, where an image does not tell its size."""


class AwsVms(AwsNetworks, AwsImages, AwsSpecs):
    """VmHandler, HibernateHandler and ConsoleHandler."""

    _hibernation: bool
    """Whether new VMs are made so that they can hibernate."""

    async def start_vm(self, request: VmRequest) -> VmInfo:
        with self._young.forgiven():
            if await self._network_of(request.subnet_id) != request.network_id:
                raise CloudInvalidError(
                    f"subnet {request.subnet_id} is not in network {request.network_id[:40]}", field="network_id"
                )
            answer = await self._ec2_unless(SPENT, "RunInstances", **await self._order(request))
        if answer is None:
            return await self._vm_of(request.token)
        return translate.vm_info(answer["Instances"][0], self._spec.region)

    async def suspend_vm(self, vm_id: str) -> None:
        await self._ec2("StopInstances", InstanceIds=[_known(vm_id)])

    async def hibernate_vm(self, vm_id: str) -> None:
        try:
            await self._ec2("StopInstances", InstanceIds=[_known(vm_id)], Hibernate=True)
        except CloudUnsupportedError as error:
            raise CloudUnsupportedError(
                f"VM {vm_id} was not made for hibernation",
                remedy='make its connection with "hibernation": "on" in its info, then start the VM anew',
            ) from error

    async def resume_vm(self, vm_id: str) -> None:
        await self._ec2("StartInstances", InstanceIds=[_known(vm_id)])

    async def reboot_vm(self, vm_id: str) -> None:
        await self._ec2("RebootInstances", InstanceIds=[_known(vm_id)])

    async def terminate_vm(self, vm_id: str) -> None:
        if VM_ID.fullmatch(vm_id):
            await self._away("TerminateInstances", InstanceIds=[vm_id])

    async def list_vm_status(self) -> list[VmStatus]:
        return [translate.vm_status(instance) for instance in await self._instances()]

    async def list_vms(self) -> list[VmInfo]:
        return [translate.vm_info(instance, self._spec.region) for instance in await self._instances()]

    async def get_vm(self, vm_id: str) -> VmInfo:
        answer = await self._ec2("DescribeInstances", InstanceIds=[_known(vm_id)])
        found = _flat(answer.get("Reservations", []))
        if not found:
            raise CloudNotFoundError(f"AWS has no VM {vm_id}")
        return translate.vm_info(found[0], self._spec.region)

    async def console_output(self, vm_id: str) -> str:
        """The newest where the VM's machine can tell it (Nitro), else what EC2 kept of its start."""
        old = ["UnsupportedOperation", "InvalidParameterCombination"]
        answer = await self._ec2_unless(old, "GetConsoleOutput", InstanceId=_known(vm_id), Latest=True)
        if answer is None:
            answer = await self._ec2("GetConsoleOutput", InstanceId=vm_id)
        return str(answer.get("Output") or "")[-CONSOLE_LIMIT:]

    async def _instances(self) -> list[Document]:
        filters = self._mine()
        return _flat(await self._ec2_pages("DescribeInstances", "Reservations", Filters=filters, MaxResults=PAGE))

    async def _vm_of(self, token: str) -> VmInfo:
        """The VM that was made for this token, living or not."""
        filters = self._mine(**{f"tag:{marks.TOKEN}": token})
        found = [
            translate.vm_info(instance, self._spec.region)
            for instance in _flat(await self._ec2_pages("DescribeInstances", "Reservations", Filters=filters))
        ]
        if not found:
            raise CloudTransientError("AWS has served this request before, and does not show its VM (yet, or any more)")
        return min(found, key=lambda vm: (vm.state is CloudVmState.TERMINATED, vm.started_at or 0.0))

    async def _order(self, request: VmRequest) -> Document:
        """A request as RunInstances takes it: the same for the same request, as AWS compares what comes twice."""
        order: Document = {
            "ClientToken": self._unique(request.token),
            "MinCount": 1,
            "MaxCount": 1,
            "ImageId": request.image_id,
            "InstanceType": request.spec_id,
            "KeyName": request.key_pair_id,
            "UserData": firstboot.cloud_config(request),
            "NetworkInterfaces": [self._card(request)],
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
            "TagSpecifications": self._vm_tags(request),
            **await self._disk(request, await self._machine_image(request.image_id)),
        }
        if request.zone:
            order["Placement"] = {"AvailabilityZone": request.zone}
        return order

    async def _disk(self, request: VmRequest, image: Document) -> Document:
        """The system disk: it ends with the VM, and for hibernation it is encrypted and has room for the memory."""
        disk: Document = {"DeleteOnTermination": True}
        more: Document = {}
        asked = self._spec.region_info.get("root_gib")
        size = int(asked) if asked else _root_size(image)
        if self._hibernation:
            memory = (await self.get_spec(request.spec_id)).memory_mib
            size = (size or SMALL_DISK) + -(-memory // 1024)
            disk["Encrypted"] = True
            more["HibernationOptions"] = {"Configured": True}
        if size:
            disk["VolumeSize"] = size
        mapping = {"DeviceName": image.get("RootDeviceName") or "/dev/sda1", "Ebs": disk}
        return {"BlockDeviceMappings": [mapping], **more}

    def _card(self, request: VmRequest) -> Document:
        return {
            "DeviceIndex": 0,
            "SubnetId": request.subnet_id,
            "Groups": list(request.security_group_ids),
            "AssociatePublicIpAddress": True,
            "DeleteOnTermination": True,
        }

    def _vm_tags(self, request: VmRequest) -> list[Document]:
        kinds = ("instance", "volume", "network-interface")
        tags = {**request.tags, translate.GUEST: request.guest_user}
        return [self._tagged(kind, request.name, tags, request.token) for kind in kinds]


def _known(vm_id: str) -> str:
    """The id, if EC2 can have given it."""
    if not VM_ID.fullmatch(vm_id):
        raise CloudNotFoundError(f"AWS has no VM {vm_id[:40]!r}")
    return vm_id


def _flat(reservations: list[Document]) -> list[Document]:
    return [instance for reservation in reservations for instance in reservation.get("Instances", [])]


def _root_size(image: Document) -> int:
    """GiB of an image's system disk; 0 where it does not say."""
    for mapping in image.get("BlockDeviceMappings") or ():
        if mapping.get("DeviceName") == image.get("RootDeviceName"):
            return int(mapping.get("Ebs", {}).get("VolumeSize", 0))
    return 0
