"""What the parts of an AWS connection share. In: set by AwsConnection. Out: used by its parts."""

import contextlib
import hashlib
import time
from abc import ABC
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from mcisd.drivers import marks
from mcisd.drivers.aws.link import Document, Link
from mcisd.drivers.turns import Turns
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudNotFoundError, CloudTransientError

MOST_REMEMBERED = 2000
CHILDHOOD = 120.0
"""Seconds."""


class Memory(dict[str, str]):
    """What was once learned and does not change, by key; the oldest is forgotten when there is too much."""

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, value)
        if len(self) > MOST_REMEMBERED:
            del self[next(iter(self))]


class Young:
    """What this connection made a moment ago: that EC2 does not know it yet is a reason to try again."""

    def __init__(self) -> None:
        self._born: dict[str, float] = {}

    def add(self, item_id: str) -> None:
        now = time.monotonic()
        self._born[item_id] = now
        while len(self._born) > MOST_REMEMBERED or now - self._born[next(iter(self._born))] > CHILDHOOD:
            del self._born[next(iter(self._born))]

    @contextmanager
    def forgiven(self) -> Iterator[None]:
        """CloudTransientError instead of CloudNotFoundError for what is young."""
        try:
            yield
        except CloudNotFoundError as error:
            now = time.monotonic()
            if any(item in error.message and now - born <= CHILDHOOD for item, born in self._born.items()):
                raise CloudTransientError(f"AWS does not know its own new object yet: {error.message}") from error
            raise


class Part(ABC):
    """One credential in one region."""

    _link: Link
    _spec: ConnectionSpec
    _installation: str
    _turns: Turns
    _young: Young

    async def _ec2(self, operation: str, **parameters: Any) -> Document:
        return await self._link.ask("ec2", operation, parameters) or {}

    async def _ec2_unless(self, codes: Collection[str], operation: str, **parameters: Any) -> Document | None:
        """The answer, or None if EC2 refused with one of ``codes``."""
        return await self._link.ask("ec2", operation, parameters, codes)

    async def _away(self, operation: str, **parameters: Any) -> None:
        """A deletion; what is gone already is as good."""
        with contextlib.suppress(CloudNotFoundError):
            await self._ec2(operation, **parameters)

    async def _ec2_pages(self, operation: str, key: str, **parameters: Any) -> list[Document]:
        return await self._link.pages("ec2", operation, key, parameters)

    def _mine(self, **more: str) -> list[Document]:
        """Filters that let pass what is ours; ``more`` by name, with "_" for "-"."""
        return where(**{f"tag:{marks.INSTALLATION}": self._installation}, **more)

    def _tagged(self, kind: str, name: str, tags: dict[str, str], token: str) -> Document:
        """The tags of a new object, as a TagSpecification."""
        own = marks.marked(tags, self._installation, token) | {"Name": name}
        return {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in own.items()]}

    def _unique(self, token: str) -> str:
        """64 characters that stand for this token of this installation, for names AWS keeps unique."""
        return hashlib.sha256(f"{self._installation}\n{token}".encode()).hexdigest()


def where(**values: str) -> list[Document]:
    """EC2 filters: ``where(vpc_id="vpc-1")``."""
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in values.items()]
