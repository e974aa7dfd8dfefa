"""Between our nouns and the local cloud's documents. Pure. In: requests or documents. Out: documents or infos."""

from dataclasses import asdict
from typing import Any

from mcisd.drivers import marks
from mcisd.model.cloud import (
    CloudVmState,
    FirewallRule,
    KeyPairInfo,
    KeyPairRequest,
    NetworkInfo,
    NetworkRequest,
    SecurityGroupInfo,
    SecurityGroupRequest,
    VmInfo,
    VmRequest,
    VmStatus,
)

INSTALLATION_TAG = marks.INSTALLATION
Document = dict[str, Any]


def request_document(
    request: NetworkRequest | SecurityGroupRequest | KeyPairRequest | VmRequest, installation: str
) -> Document:
    """A request as the cloud reads it, marked as ours."""
    return asdict(request) | {"tags": {**request.tags, INSTALLATION_TAG: installation}}


def network_info(document: Document) -> NetworkInfo:
    return NetworkInfo(**document | {"subnet_ids": tuple(document["subnet_ids"])})


def security_group_info(document: Document) -> SecurityGroupInfo:
    rules = tuple(FirewallRule(**rule) for rule in document["rules"])
    return SecurityGroupInfo(**document | {"rules": rules})


def key_pair_info(document: Document) -> KeyPairInfo:
    return KeyPairInfo(**document)


def vm_info(document: Document) -> VmInfo:
    return VmInfo(**document | {"state": CloudVmState(document["state"])})


def vm_status(document: Document) -> VmStatus:
    return VmStatus(document["id"], document["token"], CloudVmState(document["state"]), document["reason"])
