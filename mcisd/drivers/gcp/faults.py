"""Google's errors in our words. Pure. In: status, reason, text of a refusal, or an operation's error. Out: CloudError.

Google names an error twice: by HTTP status and by ``reason`` ("quotaExceeded"); inside an operation by ``code``
("QUOTA_EXCEEDED"). Both spellings are one table here.
"""

import re

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
)

LONGEST = 400
_AUTH = ("autherror", "required", "unauthorized", "invalidcredentials", "unauthenticated", "accountdisabled")
_DENIED = ("forbidden", "permissionserror", "permissiondenied", "insufficientpermissions", "iampermissiondenied")
_CLASSES: dict[str, type[CloudError]] = {
    "quotaexceeded": CloudQuotaError,
    "limitexceeded": CloudQuotaError,
    "dailylimitexceeded": CloudQuotaError,
    "zoneresourcepoolexhausted": CloudCapacityError,
    "zoneresourcepoolexhaustedwithdetails": CloudCapacityError,
    "resourcepoolexhausted": CloudCapacityError,
    "regionresourcepoolexhausted": CloudCapacityError,
    "stockout": CloudCapacityError,
    "ipspaceexhausted": CloudCapacityError,
    "ipspaceexhaustedwithdetails": CloudCapacityError,
    "ratelimitexceeded": CloudThrottledError,
    "userratelimitexceeded": CloudThrottledError,
    "concurrentlimitexceeded": CloudThrottledError,
    "resourceoperationrateexceeded": CloudThrottledError,
    "operationrateexceeded": CloudThrottledError,
    "notfound": CloudNotFoundError,
    "resourcenotfound": CloudNotFoundError,
    "alreadyexists": CloudConflictError,
    "resourcealreadyexists": CloudConflictError,
    "duplicate": CloudConflictError,
    "conflict": CloudConflictError,
    "conditionnotmet": CloudConflictError,
    "resourceinusebyanotherresource": CloudConflictError,
    "resourceinuse": CloudConflictError,
    "invalidresourcestate": CloudConflictError,
    "resourcenotready": CloudTransientError,  # in the middle of something; ready in a while
    "backenderror": CloudTransientError,
    "internalerror": CloudTransientError,
    "internal": CloudTransientError,
    "serviceunavailable": CloudTransientError,
    "operationcanceledbyuser": CloudTransientError,
    "invalid": CloudInvalidError,
    "invalidusage": CloudInvalidError,
    "invalidparameter": CloudInvalidError,
    "badrequest": CloudInvalidError,
    "invalidfieldvalue": CloudInvalidError,
}
_STATUSES: dict[int, type[CloudError]] = {
    400: CloudInvalidError,
    404: CloudNotFoundError,
    408: CloudTransientError,
    409: CloudConflictError,
    412: CloudConflictError,
    429: CloudThrottledError,
}


def refusal(status: int, reason: str, message: str, retry_after: float | None = None) -> CloudError:
    """The error for a refused request. ``status`` 0: it comes from inside an operation."""
    key, text = _key(reason), plain(message)
    if key in ("accessnotconfigured", "servicedisabled", "apinotactivated"):
        return CloudAuthError(
            f"the API is not enabled in this project: {text}",
            field="project",
            remedy="enable it: gcloud services enable compute.googleapis.com",
        )
    if key in _AUTH or status == 401:
        return CloudAuthError(
            f"Google Cloud does not accept the key: {text}",
            field="credential",
            remedy="make a new key of the service account, and store it",
        )
    if key in _DENIED:
        return _denied(text)
    kind = _CLASSES.get(key) or _STATUSES.get(status)
    if kind is None:
        if status == 403:
            return _denied(text)
        kind = CloudTransientError if status >= 500 or status == 0 else CloudInvalidError
    if kind is CloudThrottledError:
        return CloudThrottledError(f"Google Cloud asks for fewer calls: {text}", retry_after=retry_after)
    return kind(f"Google Cloud: {text}")


def operation_fault(operation: dict[str, object]) -> CloudError | None:
    """The error an operation ended with; None if it has none (yet)."""
    error = operation.get("error")
    errors = error.get("errors") if isinstance(error, dict) else None
    if not errors:
        status = int(str(operation.get("httpErrorStatusCode") or 0))
        return refusal(status, "", str(operation.get("httpErrorMessage", ""))) if status else None
    first = errors[0]
    return refusal(0, str(first.get("code", "")), str(first.get("message", "")))


_SIGNS: tuple[tuple[str, str, str], ...] = (
    (
        "reasonable timeframe",
        "the clock of this machine is off: Google refuses the time in the signed request",
        "set the clock (chrony, systemd-timesyncd), then try again",
    ),
    (
        "account not found",
        "the service account of this key does not exist any more",
        "make a service account and a key for it, and store that",
    ),
    (
        "invalid_grant",
        "Google does not accept the key of the service account: it was deleted, has expired, or is another account's",
        "make a new key (gcloud iam service-accounts keys create) and store it",
    ),
    (
        "token refused",
        "Google does not accept the access token: it was revoked, has expired, or the clock of this machine is off",
        "set the clock, or make a new key (or access_token) and store it",
    ),
    (
        "necessary fields need to refresh",
        "the access token is wrong or has expired, and nothing is there to get another one with",
        "store a new access_token, or a service account's key, which lasts",
    ),
    (
        "default credentials were not found",
        "there are no application default credentials on this machine",
        "run: gcloud auth application-default login, or store service_account_json",
    ),
)


def not_admitted(text: str) -> CloudAuthError:
    """The error for a token that Google does not give; ``text`` is searched for what is known, not shown."""
    lower = text.lower()
    for sign, message, remedy in _SIGNS:
        if sign in lower:
            return CloudAuthError(message, field="credential", remedy=remedy)
    return CloudAuthError(
        "Google gives no access token for this credential", field="credential", remedy="store another key"
    )


def untrusted() -> CloudInvalidError:
    return CloudInvalidError(
        "the certificate of the endpoint cannot be trusted",
        field="endpoint",
        remedy="correct the endpoint's address, or add its authority's certificate to those this machine trusts",
    )


def plain(message: str) -> str:
    """One line, without the request's address that the library puts before Google's words."""
    text = re.sub(r"^(\d{3} )?(GET|POST|PUT|PATCH|DELETE) \S+: ", "", message)
    return " ".join(text.split())[:LONGEST].rstrip(".") or "no reason given"


def _denied(text: str) -> CloudAuthError:
    return CloudAuthError(
        f"the account may not do this: {text}",
        field="credential",
        remedy="give it the role in docs/clouds/gcp.md, which has every permission mcisd needs",
    )


def _key(reason: str) -> str:
    return re.sub(r"[^a-z]", "", reason.lower())
