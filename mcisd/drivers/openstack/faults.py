"""OpenStack's errors in our words. Pure. In: status, headers and body of a refusal. Out: the error to raise."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from mcisd.drivers.openstack.http import Answer
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
"""Seconds between this host's clock and the cloud's beyond which the clock is named as the likely cause."""
LONGEST = 300
_QUOTA = re.compile(r"quota|OverQuota|too many (instances|key pairs)|limit exceeded", re.IGNORECASE)
_CAPACITY = re.compile(
    r"No valid host|NoValidHost|IpAddressGenerationFailure|No more IP addresses|Insufficient compute resources"
    r"|exceeded max scheduling attempts|Exceeded maximum number of retries",
    re.IGNORECASE,
)


def words(body: Any) -> tuple[str, str]:
    """The type, where there is one, and the message of an error body: each service wraps it in its own way."""
    if not isinstance(body, dict):
        return "", ""
    for value in (body.get("NeutronError"), body.get("error"), *body.values()):
        if isinstance(value, str):
            return "", value
        if isinstance(value, dict) and "message" in value:
            return str(value.get("type", "")), str(value["message"])
    if isinstance(body.get("errors"), list) and body["errors"]:
        first = body["errors"][0]
        return str(first.get("title", "")), str(first.get("detail", ""))
    return "", ""


def fault(operation: str, answer: Answer) -> CloudError:
    """The error for a refusal (status 400 and above). 401 of keystone itself is ``refused``."""
    kind, message = words(answer.body)
    text = f"{operation}: {_short(message) or f'status {answer.status}'}"
    told = f"{kind} {message}"
    match answer.status:
        case 413 | 429:
            if answer.status == 413 and _QUOTA.search(message) and "retry-after" not in _lower(answer.headers):
                return CloudQuotaError(text, remedy="remove what is not needed, or ask for a larger quota")
            return CloudThrottledError(text, retry_after=retry_after(answer.headers))
        case 401:
            return CloudAuthError(
                f"{operation}: the service refuses a token that keystone has just given",
                remedy="the clocks of the cloud's servers, or its trust in keystone, are off: tell its operators",
            )
        case 403 | 409 if _QUOTA.search(told):
            return CloudQuotaError(text, remedy="remove what is not needed, or ask for a larger quota")
        case 403:
            return CloudAuthError(
                text, remedy="give the user a role that may do this (member), or widen the access rules"
            )
        case 404:
            return CloudNotFoundError(text)
        case 409 | 503 | 400 if _CAPACITY.search(told):
            return CloudCapacityError(text, remedy="try another zone or spec, or later")
        case 409 | 412:
            return CloudConflictError(text)
        case 406:
            return CloudUnsupportedError(
                text, remedy="set compute_microversion to what the cloud has; 2.1 always works"
            )
        case status if status >= 500:
            return CloudTransientError(text)
        case _:
            return CloudInvalidError(text)


def refused(credential: str, answer: Answer, now: float) -> CloudError:
    """The error for keystone's own no to a credential (named without its secret); ``now`` is this host's time."""
    if answer.status != 401:
        return fault("keystone POST auth/tokens", answer)
    _, message = words(answer.body)
    skew = clock_skew(answer.headers, now)
    if abs(skew) > SKEW:
        way = "behind" if skew > 0 else "ahead of"
        return CloudAuthError(
            f"keystone refuses the {credential}, and this host's clock is {abs(skew):.0f} s {way} the cloud's",
            remedy="set this host's clock (NTP), then try again",
        )
    if "not yet valid" in message.lower():
        return CloudAuthError(
            f"keystone refuses the {credential}: {_short(message)}",
            remedy="a clock is off, this host's or the cloud's: set it (NTP), then try again",
        )
    reason = "it is wrong, expired or was deleted" if credential.startswith("application") else "it is wrong or expired"
    return CloudAuthError(
        f"keystone refuses the {credential}: {reason}",
        field="credential",
        remedy="check it with `openstack token issue`, make a new one if it expired, check user and domain",
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After, None where it is missing or a date."""
    try:
        return max(0.0, float(_lower(headers).get("retry-after", "")))
    except ValueError:
        return None


def clock_skew(headers: Mapping[str, str], now: float) -> float:
    """Seconds by which the cloud's clock is ahead of ours; 0 where it does not tell."""
    then = server_time(headers)
    return 0.0 if then is None else then - now


def server_time(headers: Mapping[str, str]) -> float | None:
    """The Date header in seconds since the epoch."""
    try:
        return parsedate_to_datetime(_lower(headers)["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None


def no_capacity(reason: str) -> bool:
    """Whether a server's fault says that there was no machine for it."""
    return bool(_CAPACITY.search(reason))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _short(message: str) -> str:
    return " ".join(message.split())[:LONGEST]
