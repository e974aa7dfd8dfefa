"""Names of our objects at Azure. Pure. In: tokens and the installation. Out: names, which are also the ids we hand out.

Azure knows an object by its name, and a second PUT of a name changes the first object: a name made from the creation's
token makes the creation idempotent. All objects of an installation in a region stand in one resource group.
"""

import hashlib
import re

from mcisd.model.errors import CloudInvalidError, CloudNotFoundError

VM, NIC, IP, DISK, NETWORK, GROUP, KEY, GONE = "vm", "nic", "ip", "disk", "net", "sg", "key", "gone"
"""Prefixes: the kind of object a name belongs to. ``gone`` marks a token whose VM was terminated."""
_NAME = re.compile(r"(?P<kind>vm|nic|ip|disk|net|sg|key|gone)-[0-9a-f]{24}")
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def name_of(kind: str, token: str) -> str:
    """The name of the ``kind`` of object that the creation with this token makes."""
    return f"{kind}-{hashlib.sha256(token.encode()).hexdigest()[:24]}"


def sibling(name: str, kind: str) -> str:
    """The name of another part of the same creation: the network card of a VM."""
    return f"{kind}-{name.partition('-')[2]}"


def kind_of(name: str) -> str | None:
    """Which kind of object of ours has this name; None if it cannot be ours."""
    found = _NAME.fullmatch(name)
    return found["kind"] if found else None


def is_name(kind: str, text: str) -> bool:
    """Whether an object of this kind can have this name; other texts never reach a URL."""
    return kind_of(text) == kind


def known(kind: str, text: str, field: str) -> str:
    """``text``, or CloudNotFoundError if no object of this kind can have that name."""
    if not is_name(kind, text):
        raise CloudNotFoundError(f"there is no {kind} {text[:60]!r}", field=field)
    return text


def resource_group(installation: str, region: str) -> str:
    """The resource group of this installation in this region (at most 90 characters)."""
    plain = installation if _PLAIN.fullmatch(installation) else hashlib.sha256(installation.encode()).hexdigest()[:24]
    return f"mcisd-{plain}-{region}"


def subnet_id(network: str, index: int) -> str:
    return f"{network}/subnet-{index}"


def subnet_of(network: str, text: str) -> str:
    """The subnet's own name; CloudInvalidError unless it is one of ``network``."""
    parent, _, subnet = text.partition("/")
    if parent != network or not re.fullmatch(r"subnet-\d{1,3}", subnet):
        raise CloudInvalidError(f"subnet_id {text[:60]!r} is not a subnet of {network}", field="subnet_id")
    return subnet
