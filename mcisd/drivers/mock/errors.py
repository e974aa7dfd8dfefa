"""The words in which a mock cloud refuses. In: what is wrong. Out: an error of our tree."""

from mcisd.model.cloud import CloudVmState
from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTimeoutError,
    CloudTransientError,
)


def wrong_secret() -> CloudAuthError:
    return CloudAuthError("the mock cloud refuses this credential", field="secret", remedy="register the right secret")


def expired() -> CloudAuthError:
    return CloudAuthError("the secret has expired", field="secret", remedy="register a new secret")


def forbidden() -> CloudAuthError:
    return CloudAuthError(
        "this credential lacks a permission", remedy="allow it this call in the mock cloud's settings"
    )


def skewed() -> CloudAuthError:
    return CloudAuthError("the request's time is too far off", remedy="set this machine's clock right")


def unknown(kind: str, wanted: str) -> CloudNotFoundError:
    return CloudNotFoundError(f"the mock cloud has no {kind} {wanted[:80]!r} here")


def invalid(field: str, value: str) -> CloudInvalidError:
    return CloudInvalidError(
        f"{field} {value[:80]!r} is unknown to the mock cloud in this region", field=field, remedy="use a listed one"
    )


def in_use(kind: str, wanted: str, user: str) -> CloudConflictError:
    return CloudConflictError(f"{kind} {wanted} is used by {user}", remedy=f"delete {user} first")


def wrong_state(action: str, vm_id: str, state: CloudVmState) -> CloudConflictError:
    return CloudConflictError(f"cannot {action} {vm_id}: it is {state}", remedy="wait for another state")


def over_quota(limit: int) -> CloudQuotaError:
    return CloudQuotaError(
        f"the quota of {limit} VMs in this region is used up", remedy="terminate some or use another"
    )


def no_capacity() -> CloudCapacityError:
    return CloudCapacityError("the mock cloud has no capacity left in this region", remedy="try another spec or region")


def throttled(retry_after: float) -> CloudThrottledError:
    return CloudThrottledError("the mock cloud asks for fewer calls", retry_after=retry_after)


def flaky() -> CloudTransientError:
    return CloudTransientError("the mock cloud had an internal error")


def lost_answer(api: str) -> CloudTimeoutError:
    return CloudTimeoutError(f"the mock cloud's answer to {api} was lost")


def closed() -> CloudInvalidError:
    return CloudInvalidError("this connection is closed", remedy="open a new one")
