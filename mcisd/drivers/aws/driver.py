"""The AWS driver. In: calls of the control core. Out: requests to EC2, and its answers in the common vocabulary.

Credential: an access key, a profile, a role to assume, or nothing (then what the library finds: environment, files, the
machine's own role). ``region_info``: see docs/clouds/aws.md.
"""

import hashlib
import json
from typing import ClassVar

from mcisd.drivers.aws import credentials
from mcisd.drivers.aws.account import AwsAccount, judge_region
from mcisd.drivers.aws.catalogue import Shelf
from mcisd.drivers.aws.inventory import AwsInventory
from mcisd.drivers.aws.link import Link, Models
from mcisd.drivers.aws.part import Memory, Young
from mcisd.drivers.turns import Turns
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudInvalidError

MOST_SHELVES = 64


class AwsConnection(AwsInventory, AwsAccount):
    """One credential in one region: all handlers of base.py but Crash."""

    def __init__(self, spec: ConnectionSpec, installation: str, link: Link, shelf: Shelf) -> None:
        self._spec = spec
        self._installation = installation
        self._link = link
        self._shelf = shelf
        self._turns = Turns()
        self._young = Young()
        self._made_vpcs = Memory()
        self._subnet_vpcs = Memory()
        self._hibernation = spec.region_info.get("hibernation") == "on"

    async def close(self) -> None:
        await self._link.close()


class AwsDriver:
    """Amazon Web Services, and services that speak EC2's language."""

    provider: ClassVar[str] = "aws"
    version: ClassVar[str] = "1"
    credential_fields: ClassVar[dict[str, bool]] = credentials.FIELDS
    connection: ClassVar[type] = AwsConnection

    def __init__(self) -> None:
        self._models = Models()
        self._shelves: dict[str, Shelf] = {}

    async def connect(self, spec: ConnectionSpec, installation: str) -> AwsConnection:
        """Sends nothing: ``check`` asks AWS. CloudAuthError or CloudInvalidError for what it would never take."""
        credentials.checked(spec.credential)
        judge_region(spec.region, "endpoint" in spec.region_info)
        judge_info(spec.region_info)
        return AwsConnection(spec, installation, Link(spec, self._models), self._shelf(spec))

    def _shelf(self, spec: ConnectionSpec) -> Shelf:
        """The catalogue as far as it was read with this credential in this region."""
        key = json.dumps([spec.region, sorted(spec.region_info.items()), sorted(spec.credential.items())])
        digest = hashlib.sha256(key.encode()).hexdigest()
        shelf = self._shelves.setdefault(digest, Shelf())
        if len(self._shelves) > MOST_SHELVES:
            del self._shelves[next(iter(self._shelves))]
        return shelf


def judge_info(info: dict[str, str]) -> None:
    """CloudInvalidError for a region's key-value that has no meaning."""
    if info.get("hibernation", "off") not in ("on", "off"):
        raise CloudInvalidError('hibernation is "on" or "off"', field="hibernation", remedy="write one of the two")
    if info.get("prices", "on") not in ("on", "off"):
        raise CloudInvalidError('prices is "on" or "off"', field="prices", remedy="write one of the two")
    size = info.get("root_gib", "8")
    if not (size.isdigit() and 1 <= int(size) <= 16384):
        raise CloudInvalidError(
            "root_gib is a number of GiB", field="root_gib", remedy="write a number from 1 to 16384"
        )
