"""Networks, security groups and keys. In: requests. Out: virtual networks, network security groups, SSH public keys."""

import base64
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from mcisd.drivers.azure.names import GROUP, KEY, NETWORK, is_name, known, name_of
from mcisd.drivers.azure.part import AzurePart
from mcisd.drivers.azure.session import WAIT, Json
from mcisd.drivers.azure.translate import NETWORK as NETWORK_TAG
from mcisd.drivers.azure.translate import group_of, key_of, network_of, properties, rule_body
from mcisd.model.cloud import (
    KeyPairInfo,
    KeyPairRequest,
    NetworkInfo,
    NetworkRequest,
    SecurityGroupInfo,
    SecurityGroupRequest,
)
from mcisd.model.errors import CloudConflictError, CloudInvalidError


class AzureNetworks(AzurePart):
    async def create_network(self, request: NetworkRequest) -> NetworkInfo:
        name = name_of(NETWORK, request.token)
        subnets = request.subnets or (request.cidr,)
        body: Json = self._base(request.tags, request.token, request.name) | {
            "properties": {
                "addressSpace": {"addressPrefixes": [request.cidr]},
                "subnets": [
                    {"name": f"subnet-{index}", "properties": {"addressPrefix": cidr}}
                    for index, cidr in enumerate(subnets)
                ],
            }
        }
        begin = self._session.network.virtual_networks.begin_create_or_update
        async with self._alone(name):
            made = await self._in_group(lambda: self._session.change(begin, self._group, name, body, wait=WAIT))
        return network_of(made)

    async def list_networks(self) -> list[NetworkInfo]:
        return [network_of(body) for body in await self._listed(self._session.network.virtual_networks.list)]

    async def delete_network(self, network_id: str) -> None:
        """Azure's groups stand beside its networks: that one belongs to this network is told by its tag."""
        if not is_name(NETWORK, network_id):
            return
        used = [group.id for group in await self.list_security_groups() if group.network_id == network_id]
        if used:
            raise CloudConflictError(f"security group {used[0]} belongs to the network", remedy="delete it first")
        begin = self._session.network.virtual_networks.begin_delete
        await self._gone(lambda: self._session.change(begin, self._group, network_id, wait=WAIT))

    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        network = known(NETWORK, request.network_id, "network_id")
        rules = [rule_body(rule, number) for number, rule in enumerate(request.rules)]
        name = name_of(GROUP, request.token)
        base = self._base(request.tags, request.token, request.name, **{NETWORK_TAG: network})
        clients = self._session.network
        await self._session.get(clients.virtual_networks.get, self._group, network)
        begin, body = (
            clients.network_security_groups.begin_create_or_update,
            base | {"properties": {"securityRules": rules}},
        )
        async with self._alone(name):
            return group_of(await self._session.change(begin, self._group, name, body, wait=WAIT))

    async def list_security_groups(self) -> list[SecurityGroupInfo]:
        return [group_of(body) for body in await self._listed(self._session.network.network_security_groups.list)]

    async def delete_security_group(self, group_id: str) -> None:
        if is_name(GROUP, group_id):
            begin = self._session.network.network_security_groups.begin_delete
            await self._gone(lambda: self._session.change(begin, self._group, group_id, wait=WAIT))


class AzureKeys(AzurePart):
    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo:
        mark = fingerprint(request.public_key)
        name = name_of(KEY, request.token)
        body = self._base(request.tags, request.token, request.name) | {"properties": {"publicKey": request.public_key}}
        create = self._session.compute.ssh_public_keys.create
        async with self._alone(name):
            return key_of(await self._in_group(lambda: self._session.get(create, self._group, name, body)), mark)

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        found = await self._listed(self._session.compute.ssh_public_keys.list_by_resource_group)
        return [key_of(body, fingerprint(str(properties(body).get("publicKey", "")))) for body in found]

    async def delete_key_pair(self, key_id: str) -> None:
        if is_name(KEY, key_id):
            delete = self._session.compute.ssh_public_keys.delete
            await self._gone(lambda: self._session.done(delete, self._group, key_id))

    async def _public_key(self, key_id: str) -> str:
        """The OpenSSH line of a key of ours; CloudNotFoundError if there is none."""
        get = self._session.compute.ssh_public_keys.get
        body = await self._session.get(get, self._group, known(KEY, key_id, "key_pair_id"))
        return str(properties(body).get("publicKey", ""))


def fingerprint(line: str) -> str:
    """As `ssh-keygen -l` shows it; CloudInvalidError if it is no OpenSSH line of a public key."""
    try:
        load_ssh_public_key(line.encode())
        blob = base64.b64decode(line.split()[1], validate=True)
    except (ValueError, IndexError, UnsupportedAlgorithm) as error:
        raise CloudInvalidError(
            "public_key is not an OpenSSH public key",
            field="public_key",
            remedy="give a line such as ssh-ed25519 AAAA…",
        ) from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
