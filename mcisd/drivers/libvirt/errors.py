"""libvirt's errors in our words. Pure. In: an error code and text. Out: an error of our tree."""

from enum import IntEnum

from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudTimeoutError,
    CloudTransientError,
    CloudUnsupportedError,
)


class Code(IntEnum):
    """libvirt's numbers (VIR_ERR_…), written down so that this module needs no library; a test compares them."""

    NO_SUPPORT = 3
    NO_CONNECT = 5
    INVALID_ARG = 8
    XML_ERROR = 27
    DOM_EXIST = 28
    OPERATION_DENIED = 29
    XML_DETAIL = 35
    NETWORK_EXIST = 37
    SYSTEM_ERROR = 38
    RPC = 39
    NO_DOMAIN = 42
    NO_NETWORK = 43
    AUTH_FAILED = 45
    NO_STORAGE_POOL = 49
    NO_STORAGE_VOL = 50
    OPERATION_INVALID = 55
    NO_NWFILTER = 62
    CONFIG_UNSUPPORTED = 67
    OPERATION_TIMEOUT = 68
    AUTH_CANCELLED = 79
    NO_DOMAIN_METADATA = 80
    OPERATION_UNSUPPORTED = 84
    RESOURCE_BUSY = 87
    ACCESS_DENIED = 88
    STORAGE_VOL_EXIST = 90


_KINDS: dict[int, type[CloudError]] = {
    **dict.fromkeys((Code.NO_SUPPORT, Code.CONFIG_UNSUPPORTED, Code.OPERATION_UNSUPPORTED), CloudUnsupportedError),
    **dict.fromkeys((Code.INVALID_ARG, Code.XML_ERROR, Code.XML_DETAIL), CloudInvalidError),
    **dict.fromkeys((Code.NO_DOMAIN, Code.NO_NETWORK, Code.NO_STORAGE_POOL), CloudNotFoundError),
    **dict.fromkeys((Code.NO_STORAGE_VOL, Code.NO_NWFILTER, Code.NO_DOMAIN_METADATA), CloudNotFoundError),
    **dict.fromkeys((Code.DOM_EXIST, Code.NETWORK_EXIST, Code.STORAGE_VOL_EXIST), CloudConflictError),
    **dict.fromkeys((Code.OPERATION_INVALID, Code.RESOURCE_BUSY), CloudConflictError),
    **dict.fromkeys((Code.OPERATION_DENIED, Code.ACCESS_DENIED), CloudAuthError),
    **dict.fromkeys((Code.AUTH_FAILED, Code.AUTH_CANCELLED), CloudAuthError),
    Code.OPERATION_TIMEOUT: CloudTimeoutError,
}
_WORDS: tuple[tuple[str, type[CloudError], str], ...] = (
    ("host key verification failed", CloudInvalidError, "put the host's key into known_hosts of the daemon's user"),
    (
        "certificate",
        CloudInvalidError,
        "put the authority of the host's certificate into cacert.pem (pkipath of the uri)",
    ),
    ("permission denied", CloudAuthError, "check user and key, and that the user may use libvirt (group libvirt)"),
    ("authentication failed", CloudAuthError, "check user and password"),
    ("too many authentication failures", CloudAuthError, "name the key: ssh_key_file"),
    ("name or service not known", CloudTransientError, "check the host's name in the uri, and the name service"),
    ("could not resolve hostname", CloudTransientError, "check the host's name in the uri, and the name service"),
    ("failed to connect socket", CloudTransientError, "start libvirtd on that host, or correct the uri"),
    ("connection refused", CloudTransientError, "check host and port of the uri, and that sshd or libvirtd runs there"),
    ("nc: not found", CloudInvalidError, "install virt-ssh-helper (part of libvirt) or netcat-openbsd on that host"),
    ("cannot allocate memory", CloudCapacityError, "terminate VMs, or use a smaller spec"),
    ("no space left", CloudCapacityError, "make room in the storage pool"),
    ("already in use by interface", CloudConflictError, "use another address range"),
    ("already exists", CloudConflictError, ""),
    ("already being removed", CloudConflictError, ""),
    ("no connection driver available", CloudInvalidError, "check the uri, and that this libvirt has the driver"),
)
"""What stands in the text where the code says only that something failed."""
_REMEDIES: dict[type[CloudError], str] = {
    CloudAuthError: "check the credential, and that its user may manage VMs",
    CloudUnsupportedError: "use a newer libvirt, or another hypervisor",
}
_LONGEST = 300


def translated(code: int, text: str) -> CloudError:
    """Our error for libvirt's ``code`` (VIR_ERR_…); its text is kept, in one line and short."""
    line = " ".join(text.split())[:_LONGEST] or f"libvirt error {code}"
    kind, remedy = _KINDS.get(code, CloudTransientError), ""
    if kind in (CloudTransientError, CloudAuthError):
        lower = line.lower()
        kind, remedy = next(((other, mend) for words, other, mend in _WORDS if words in lower), (kind, ""))
    return kind(f"libvirt: {line}", remedy=remedy or _REMEDIES.get(kind))
