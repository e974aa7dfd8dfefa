"""Google's refusals in our words."""

import pytest

from mcisd.drivers.gcp import faults
from mcisd.model import errors as e


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "quotaExceeded", e.CloudQuotaError),
        (0, "QUOTA_EXCEEDED", e.CloudQuotaError),
        (0, "LIMIT_EXCEEDED", e.CloudQuotaError),
        (0, "ZONE_RESOURCE_POOL_EXHAUSTED", e.CloudCapacityError),
        (0, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", e.CloudCapacityError),
        (403, "rateLimitExceeded", e.CloudThrottledError),
        (403, "userRateLimitExceeded", e.CloudThrottledError),
        (429, "", e.CloudThrottledError),
        (0, "RESOURCE_OPERATION_RATE_EXCEEDED", e.CloudThrottledError),
        (404, "notFound", e.CloudNotFoundError),
        (0, "RESOURCE_NOT_FOUND", e.CloudNotFoundError),
        (409, "alreadyExists", e.CloudConflictError),
        (0, "RESOURCE_ALREADY_EXISTS", e.CloudConflictError),
        (412, "conditionNotMet", e.CloudConflictError),
        (400, "resourceInUseByAnotherResource", e.CloudConflictError),
        (0, "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", e.CloudConflictError),
        (400, "resourceNotReady", e.CloudTransientError),
        (0, "RESOURCE_NOT_READY", e.CloudTransientError),
        (400, "invalid", e.CloudInvalidError),
        (400, "badRequest", e.CloudInvalidError),
        (400, "somethingNew", e.CloudInvalidError),
        (401, "authError", e.CloudAuthError),
        (401, "", e.CloudAuthError),
        (403, "forbidden", e.CloudAuthError),
        (403, "somethingNew", e.CloudAuthError),
        (0, "PERMISSIONS_ERROR", e.CloudAuthError),
        (403, "accessNotConfigured", e.CloudAuthError),
        (403, "SERVICE_DISABLED", e.CloudAuthError),
        (500, "internalError", e.CloudTransientError),
        (502, "", e.CloudTransientError),
        (503, "backendError", e.CloudTransientError),
        (0, "SOMETHING_NEW", e.CloudTransientError),
    ],
)
def test_table(status: int, reason: str, kind: type[e.CloudError]) -> None:
    assert type(faults.refusal(status, reason, "why")) is kind


def test_pause_is_handed_on() -> None:
    error = faults.refusal(429, "rateLimitExceeded", "slow", 7.0)
    assert isinstance(error, e.CloudThrottledError)
    assert error.retry_after == 7.0


def test_text_is_one_line_without_the_address() -> None:
    text = "404 GET http://127.0.0.1:1/compute/v1/projects/p/regions/x?key=secret: The resource\n 'x' was not found."
    assert faults.plain(text) == "The resource 'x' was not found"
    assert len(faults.plain("x" * 5000)) == faults.LONGEST


def test_operations_without_error() -> None:
    assert faults.operation_fault({"status": "RUNNING"}) is None
    assert faults.operation_fault({"status": "DONE", "error": {"errors": []}}) is None


def test_operations_with_error() -> None:
    first = {"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded"}
    found = faults.operation_fault({"status": "DONE", "error": {"errors": [first]}, "httpErrorStatusCode": 403})
    assert isinstance(found, e.CloudQuotaError)
    assert "CPUS" in found.message
    bare = faults.operation_fault({"status": "DONE", "httpErrorStatusCode": 409, "httpErrorMessage": "CONFLICT"})
    assert isinstance(bare, e.CloudConflictError)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("invalid_grant: Invalid JWT: Token must be ... in a reasonable timeframe. Check your iat and exp", "clock"),
        ("invalid_grant: Invalid JWT Signature.", "key"),
        ("invalid_grant: Invalid grant: account not found", "does not exist"),
        ("token refused", "access token"),
        ("The credentials do not contain the necessary fields need to refresh the access token", "access token"),
        ("Your default credentials were not found. To set up ...", "application default"),
        ("what nobody has seen before: s3cret", "credential"),
    ],
)
def test_no_token(text: str, word: str) -> None:
    error = faults.not_admitted(text)
    assert word in error.message
    assert error.remedy
    assert "s3cret" not in error.message
