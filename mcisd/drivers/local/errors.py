"""Errors of the local cloud on the wire and in our tree. In: an error or an answer. Out: the other of the two."""

from typing import Any

from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudTransientError,
    CloudUnsupportedError,
)

_STATUS: dict[type[CloudError], int] = {
    CloudAuthError: 401,
    CloudInvalidError: 400,
    CloudNotFoundError: 404,
    CloudConflictError: 409,
    CloudQuotaError: 403,
    CloudCapacityError: 507,
    CloudUnsupportedError: 501,
    CloudTransientError: 503,
}
_BY_CODE = {kind.code: kind for kind in _STATUS}


def status_of(error: CloudError) -> int:
    """The HTTP status that carries ``error``; 500 for what has none."""
    return _STATUS.get(type(error), 500)


def to_document(error: CloudError) -> dict[str, Any]:
    """The JSON body that carries ``error``."""
    return {"code": error.code, "message": error.message, "field": error.field, "remedy": error.remedy}


def from_document(status: int, document: object) -> CloudError:
    """The error an answer with ``status`` >= 400 and this body stands for; never raises itself."""
    body = document if isinstance(document, dict) else {}
    message = str(body.get("message") or f"the local cloud answered with status {status}")
    kind = _BY_CODE.get(str(body.get("code")))
    if kind is None:
        return CloudTransientError(message) if status >= 500 else CloudInvalidError(message)
    return kind(message, field=_text(body.get("field")), remedy=_text(body.get("remedy")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
