"""Azure's errors in our words. Pure. In: status, code and message of an answer. Out: the error of our tree.

Both kinds of answers carry them: the answer to the request itself, and the report of an operation that failed later.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTransientError,
    CloudUnsupportedError,
)

SKEW = 300.0
"""Seconds our clock may be off before it is named as the reason of a refused token."""
_CAPACITY = {
    "AllocationFailed",
    "ZonalAllocationFailed",
    "OverconstrainedAllocationRequest",
    "OverconstrainedZonalAllocationRequest",
    "SkuNotAvailable",
    "InsufficientCapacity",
}
_QUOTA = {"QuotaExceeded", "ResourceQuotaExceeded", "SubnetIsFull", "ResourceGroupQuotaExceeded"}
_AUTH = {
    "AuthorizationFailed",
    "LinkedAuthorizationFailed",
    "AuthenticationFailed",
    "InvalidAuthenticationToken",
    "InvalidAuthenticationTokenTenant",
    "InvalidAuthenticationTokenAudience",
    "ExpiredAuthenticationToken",
    "SubscriptionNotFound",
    "InvalidSubscriptionId",
    "ReadOnlyDisabledSubscription",
    "RequestDisallowedByPolicy",
}
_MISSING = {
    "NotFound",
    "ResourceNotFound",
    "ResourceGroupNotFound",
    "ParentResourceNotFound",
    "PlatformImageNotFound",
    "ImageNotFound",
    "GalleryImageNotFound",
}
_AGAIN = {
    "RetryableError",
    "RetryableErrorDueToAnotherOperation",
    "AnotherOperationInProgress",
    "ReferencedResourceNotProvisioned",
    "CanceledAndSupersededDueToAnotherOperation",
    "OperationPreempted",
    "InternalServerError",
    "InternalExecutionError",
    "InternalOperationError",
    "ServerTimeout",
    "GatewayTimeout",
    "ServiceUnavailable",
    "NetworkingInternalOperationError",
}
_CONFLICT = {
    "Conflict",
    "OperationNotAllowed",
    "ScopeLocked",
    "PropertyChangeNotAllowed",
    "ResourceGroupBeingDeleted",
    "NicReservedForAnotherVm",
}
_REGION = {
    "LocationNotAvailableForResourceType",
    "LocationNotAvailableForResourceGroup",
    "InvalidLocation",
    "NoRegisteredProviderFound",
}
_HOLLOW = {"MultipleErrorsOccurred", "DeploymentFailed", "BadRequest", "Failed"}
"""Codes that say nothing: the details do."""


class ResourceGroupMissingError(CloudNotFoundError):
    """Nothing of this installation has been made in this region yet."""


class VmExistsError(CloudConflictError):
    """A VM of this name is there already: the token was used before."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What an answer says about its failure."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str]
    now: float

    @property
    def line(self) -> str:
        """The message in one line, with the code."""
        words = " ".join(self.message.split())[:300] or "no message"
        return f"Azure: {words} ({self.code or self.status})"


def fault_of(status: int, body: str, headers: Mapping[str, str], now: float) -> Fault:
    """Read an answer; ``now`` is our clock, seconds since the epoch."""
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    code, message = _code(document)
    return Fault(status, code, message, {name.lower(): value for name, value in headers.items()}, now)


def _code(document: object) -> tuple[str, str]:
    """Code and message of an error document, from its details where the outer ones say nothing."""
    body = document.get("error", document) if isinstance(document, dict) else {}
    if not isinstance(body, dict):
        return str(body), str(document.get("error_description", "")) if isinstance(document, dict) else ""
    code, message = str(body.get("code", "")), str(body.get("message", ""))
    details = body.get("details")
    if isinstance(details, list) and (code in _HOLLOW or not code):
        for detail in details:
            if isinstance(detail, dict) and detail.get("code") not in (None, "", *_HOLLOW):
                return str(detail["code"]), str(detail.get("message", "")) or message
    return code, message


def error_of(fault: Fault) -> CloudError:
    """The error of our tree; never raises."""
    code, status = fault.code, fault.status
    if 0 < status < 400:
        return CloudTransientError(f"an answer of Azure could not be read (status {status})")
    if status == 429 or "Throttled" in code or code == "TooManyRequests":
        return CloudThrottledError(fault.line, retry_after=retry_after(fault.headers))
    if code in _AUTH or status == 401:
        return _auth(fault)
    if status == 412:
        return VmExistsError(fault.line)
    found = _by_code(fault)
    if found is not None:
        return found
    if status >= 500 or status == 408:
        return CloudTransientError(fault.line)
    kinds: dict[int, type[CloudError]] = {403: CloudAuthError, 404: CloudNotFoundError, 409: CloudConflictError}
    return kinds.get(status, CloudInvalidError)(fault.line)


def _by_code(fault: Fault) -> CloudError | None:
    code = fault.code
    if code in _CAPACITY:
        return CloudCapacityError(fault.line, remedy="try another zone, region or size")
    if code in _QUOTA or code.endswith(("LimitReached", "LimitExceeded", "QuotaExceeded")) or _is_quota(fault):
        return CloudQuotaError(fault.line, remedy="ask Azure for a higher quota in this region, or use less")
    if code == "ResourceGroupNotFound":
        return ResourceGroupMissingError(fault.line)
    if code in _MISSING:
        return CloudNotFoundError(fault.line)
    if code in _AGAIN:
        return CloudTransientError(fault.line)
    if "hibernat" in fault.message.lower() and fault.status in (400, 409):
        return CloudUnsupportedError(
            fault.line, remedy="set hibernation=true in the region's key-values and use a size that supports it"
        )
    if code in _CONFLICT or "InUse" in code or code.endswith("CannotBeDeleted"):
        return CloudConflictError(fault.line)
    if code in _REGION:
        return CloudInvalidError(fault.line, field="region", remedy="use one of the subscription's regions")
    if code == "MissingSubscriptionRegistration":
        return CloudInvalidError(
            fault.line, remedy="run: az provider register -n Microsoft.Compute, and the same for Microsoft.Network"
        )
    return None


def _is_quota(fault: Fault) -> bool:
    return (
        fault.code == "OperationNotAllowed"
        and re.search(r"quota|approved .*cores", fault.message, re.IGNORECASE) is not None
    )


def _auth(fault: Fault) -> CloudAuthError:
    skew = _skew(fault)
    if skew is not None and abs(skew) > SKEW:
        side = "behind" if skew > 0 else "ahead"
        return CloudAuthError(
            f"Azure refused the token, and this machine's clock is {abs(skew):.0f} s {side}",
            remedy="set the clock of this machine (NTP), then try again",
        )
    match fault.code:
        case "AuthorizationFailed" | "LinkedAuthorizationFailed":
            action = re.search(r"action '([^']+)'", fault.message)
            what = action[1] if action else "this action"
            return CloudAuthError(
                f"the credential may not do {what} (AuthorizationFailed)",
                remedy="assign it the role of docs/clouds/azure.md on the subscription; a new role takes minutes",
            )
        case "SubscriptionNotFound" | "InvalidSubscriptionId":
            return CloudAuthError(
                "the subscription is unknown to this credential's tenant",
                field="subscription_id",
                remedy="check subscription_id and tenant_id with: az account list",
            )
        case "InvalidAuthenticationTokenTenant":
            return CloudAuthError(
                "the subscription belongs to another tenant", field="tenant_id", remedy="give the subscription's tenant"
            )
        case "ExpiredAuthenticationToken":
            return CloudAuthError(
                "the access token has expired", remedy="check this machine's clock and the credential, then try again"
            )
    return CloudAuthError(fault.line, remedy="check credential, role and policy of the subscription")


def _skew(fault: Fault) -> float | None:
    """Seconds Azure's clock is ahead of ours, by the answer's Date."""
    try:
        return parsedate_to_datetime(fault.headers["date"]).timestamp() - fault.now
    except (KeyError, ValueError):
        return None


_AADSTS: dict[str, tuple[str, str, str]] = {
    "7000215": ("client_secret", "the client secret is wrong", "give the secret's value, not its id"),
    "7000222": ("client_secret", "the client secret has expired", "make a new one: az ad sp credential reset"),
    "700016": ("client_id", "the tenant has no application of this client_id", "check client_id and tenant_id"),
    "7000112": ("client_id", "the application is disabled", "enable it in Microsoft Entra ID"),
    "90002": ("tenant_id", "the tenant is unknown", "check tenant_id"),
    "900023": ("tenant_id", "tenant_id is no tenant's id or domain", "check tenant_id"),
    "700024": ("", "Azure refused the time of the request", "set the clock of this machine (NTP), then try again"),
}
"""Error numbers of the token service → field, sentence, remedy."""


def login_error(status: int, message: str, fault: Fault | None) -> CloudError:
    """Why the token service gave no token. The text of its answer stays out: it quotes what it was sent."""
    if fault is not None and status == 429:
        return CloudThrottledError("Azure's token service asks for patience", retry_after=retry_after(fault.headers))
    if status >= 500:
        return CloudTransientError(f"Azure's token service answered with status {status}")
    skew = _skew(fault) if fault is not None else None
    if fault is not None and skew is not None and abs(skew) > SKEW:
        return _auth(fault)
    number = re.search(r"AADSTS(\d+)", message)
    name, sentence, remedy = _AADSTS.get(
        number[1] if number else "", ("", "Azure gave no access token", "check tenant_id, client_id and client_secret")
    )
    code = f" ({number[0]})" if number else ""
    return CloudAuthError(sentence + code, field=name or None, remedy=remedy)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, whichever form it has."""
    text = headers.get("retry-after", headers.get("Retry-After", ""))
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
