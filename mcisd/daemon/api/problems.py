"""Errors → RFC 9457 problem+json: the one place that maps our error tree to HTTP."""

import json
import logging

from aiohttp import web
from pydantic import ValidationError

from mcisd.model.errors import (
    AccessError,
    BusError,
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTimeoutError,
    CloudUnsupportedError,
    ConflictError,
    DeliveryError,
    HostError,
    HostTimeoutError,
    InputError,
    McisdError,
    NotFoundError,
    StoreError,
    TooLargeError,
)

log = logging.getLogger(__name__)
LONGEST = 500
"""Characters of a detail: it may name what was sent, which may be long."""

STATUS: list[tuple[type[McisdError], int, str]] = [
    (TooLargeError, 413, "Too large"),
    (InputError, 422, "The request is not valid"),
    (AccessError, 401, "Unauthorized"),
    (NotFoundError, 404, "Not found"),
    (ConflictError, 409, "Conflict"),
    (CloudAuthError, 424, "The cloud refused the credential"),
    (CloudNotFoundError, 424, "The cloud does not know it"),
    (CloudInvalidError, 424, "The cloud refused the request"),
    (CloudConflictError, 409, "The cloud refused: conflict"),
    (CloudQuotaError, 424, "Quota of the cloud reached"),
    (CloudCapacityError, 424, "The cloud has no capacity"),
    (CloudUnsupportedError, 501, "The cloud cannot do that"),
    (CloudThrottledError, 503, "The cloud asks for patience"),
    (CloudTimeoutError, 504, "The cloud did not answer in time"),
    (CloudError, 502, "The cloud failed"),
    (HostTimeoutError, 504, "The VM did not answer in time"),
    (HostError, 502, "The VM could not be reached or failed"),
    (DeliveryError, 502, "The receiver did not take the message"),
    (StoreError, 503, "The store is away"),
    (BusError, 503, "The bus is away"),
    (McisdError, 500, "Error"),
]
"""Error class → status and title; the first that fits counts."""


def problem(error: McisdError) -> web.Response:
    """The answer for one of our errors."""
    status, title = next((status, title) for kind, status, title in STATUS if isinstance(error, kind))
    retry_after = getattr(error, "retry_after", None)
    headers = {"Retry-After": str(max(1, round(retry_after)))} if retry_after else {}
    return answer(status, title, error.message, error.code, error.field, error.remedy, headers)


def answer(
    status: int,
    title: str,
    detail: str,
    code: str,
    field: str | None = None,
    remedy: str | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    body = {
        "type": f"urn:mcisd:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}…",
        "code": code,
    }
    if field:
        body["field"] = field
    if remedy:
        body["remedy"] = remedy
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/problem+json", headers=headers or {}
    )


def from_validation(error: ValidationError, where: str) -> InputError:
    """The first thing wrong with a body or query, by its JSON path."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    count = error.error_count()
    more = f" (and {count - 1} more)" if count > 1 else ""
    message = first["msg"][0].lower() + first["msg"][1:]
    remedies = {
        "extra_forbidden": "leave it out, or check its spelling against /openapi.json",
        "missing": "give it; /openapi.json says what it means",
        "string_pattern_mismatch": "use small letters, digits and inner hyphens, starting with a letter",
    }
    remedy = remedies.get(first["type"], "see /openapi.json for what is allowed")
    return InputError(f"{where} {path or 'as a whole'}: {message}{more}", field=path or where, remedy=remedy)


def unexpected(error: Exception, request: web.Request) -> web.Response:
    """A fault of ours: logged with its trace, told without details."""
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return answer(500, "Internal error", "the daemon met a fault of its own; its log says more", "internal")
