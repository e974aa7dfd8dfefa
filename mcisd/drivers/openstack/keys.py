"""Key pairs: nova's, which a user owns and which have neither tags nor times. In: requests. Out: nova's keys."""

import re

from mcisd.drivers.openstack import naming
from mcisd.drivers.openstack.client import Json
from mcisd.drivers.openstack.part import Part
from mcisd.drivers.openstack.translate import key_info
from mcisd.model.cloud import KeyPairInfo, KeyPairRequest
from mcisd.model.errors import CloudConflictError

_NAME = re.compile(r"mcisd_[A-Za-z0-9-]+_[A-Za-z0-9-]+")


class Keys(Part):
    """The KeyPairHandler of a connection. A key's id is its name."""

    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo:
        name = naming.key_name(self._installation, request.token)
        tags = {"name": request.name, "token": request.token, "installation": self._installation, "tags": request.tags}
        body = {"keypair": {"name": name, "public_key": naming.key_line(request.public_key, tags)}}
        try:
            made = (await self._client.post("nova", "os-keypairs", body=body))["keypair"]
        except CloudConflictError:  # the name is taken: this token has been here
            made = (await self._client.get("nova", "os-keypairs/{name}", name))["keypair"]
        return key_info(made)

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        return [key_info(item) for item in await self._keys()]

    async def delete_key_pair(self, key_id: str) -> None:
        if _NAME.fullmatch(key_id):
            await self._delete("nova", "os-keypairs/{name}", key_id)

    async def _keys(self) -> list[Json]:
        items = await self._client.pages("nova", "os-keypairs", "keypairs")
        keys: list[Json] = [item["keypair"] for item in items]
        return [
            key
            for key in keys
            if (body := naming.key_body(key["public_key"])) and body.get("installation") == self._installation
        ]
