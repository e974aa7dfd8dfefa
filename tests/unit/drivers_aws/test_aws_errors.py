"""What AWS's refusals mean in our words. In: codes, texts, exceptions. Out: assertions."""

import pytest

from mcisd.drivers.aws.errors import answered, broken
from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTimeoutError,
    CloudTransientError,
    CloudUnsupportedError,
)

TABLE: list[tuple[str, int, type[CloudError]]] = [
    ("AuthFailure", 401, CloudAuthError),
    ("InvalidClientTokenId", 403, CloudAuthError),
    ("SignatureDoesNotMatch", 403, CloudAuthError),
    ("UnrecognizedClientException", 400, CloudAuthError),
    ("ExpiredToken", 403, CloudAuthError),
    ("RequestExpired", 400, CloudAuthError),
    ("UnauthorizedOperation", 403, CloudAuthError),
    ("AccessDeniedException", 400, CloudAuthError),
    ("OptInRequired", 403, CloudAuthError),
    ("PendingVerification", 403, CloudAuthError),
    ("Blocked", 403, CloudAuthError),
    ("RequestLimitExceeded", 503, CloudThrottledError),
    ("Throttling", 400, CloudThrottledError),
    ("ThrottlingException", 400, CloudThrottledError),
    ("SomethingNew", 429, CloudThrottledError),
    ("InsufficientInstanceCapacity", 500, CloudCapacityError),
    ("InsufficientHostCapacity", 500, CloudCapacityError),
    ("InsufficientAddressCapacity", 500, CloudCapacityError),
    ("VcpuLimitExceeded", 400, CloudQuotaError),
    ("InstanceLimitExceeded", 400, CloudQuotaError),
    ("VpcLimitExceeded", 400, CloudQuotaError),
    ("RulesPerSecurityGroupLimitExceeded", 400, CloudQuotaError),
    ("InsufficientFreeAddressesInSubnet", 400, CloudQuotaError),
    ("InternalError", 500, CloudTransientError),
    ("Unavailable", 503, CloudTransientError),
    ("ServiceUnavailable", 503, CloudTransientError),
    ("SomethingNew", 502, CloudTransientError),
    ("DependencyViolation", 400, CloudConflictError),
    ("IncorrectInstanceState", 400, CloudConflictError),
    ("VolumeInUse", 400, CloudConflictError),
    ("InvalidNetworkInterface.InUse", 400, CloudConflictError),
    ("InvalidGroup.Duplicate", 400, CloudConflictError),
    ("OperationNotPermitted", 400, CloudConflictError),
    ("UnsupportedHibernationConfiguration", 400, CloudUnsupportedError),
    ("UnsupportedOperation", 400, CloudUnsupportedError),
    ("InvalidInstanceID.NotFound", 400, CloudNotFoundError),
    ("InvalidInstanceID.Malformed", 400, CloudNotFoundError),
    ("InvalidAMIID.Unavailable", 400, CloudNotFoundError),
    ("InvalidInstanceType", 400, CloudNotFoundError),
    ("Gateway.NotAttached", 400, CloudNotFoundError),
    ("NoSuchResourceException", 400, CloudNotFoundError),
    ("InvalidParameterValue", 400, CloudInvalidError),
    ("InvalidKey.Format", 400, CloudInvalidError),
    ("Unsupported", 400, CloudInvalidError),
    ("TagLimitExceeded", 400, CloudInvalidError),
    ("MissingParameter", 400, CloudInvalidError),
]


@pytest.mark.parametrize(("code", "status", "kind"), TABLE)
def test_codes(code: str, status: int, kind: type[CloudError]) -> None:
    error = answered("RunInstances", code, "AWS says why.", status)
    assert type(error) is kind
    assert code in error.message
    assert "\n" not in error.message


def test_every_refusal_of_the_key_says_what_to_do() -> None:
    for code, status, kind in TABLE:
        if kind is CloudAuthError:
            assert answered("RunInstances", code, "", status).remedy, code


def test_missing_permission_is_named() -> None:
    text = (
        "You are not authorized to perform this operation. User: arn:aws:iam::1:user/x is not authorized to perform: "
        "ec2:RunInstances on resource: * Encoded authorization failure message: SECRETLOOKING"
    )
    error = answered("RunInstances", "UnauthorizedOperation", text, 403)
    assert "ec2:RunInstances" in error.message
    assert "ec2:RunInstances" in (error.remedy or "")
    assert "SECRETLOOKING" not in f"{error.message}{error.remedy}"
    assert "CreateVpc" in answered("CreateVpc", "UnauthorizedOperation", "No.", 403).message


@pytest.mark.parametrize(
    ("code", "text", "skew", "word"),
    [
        ("AuthFailure", "not able to validate the credentials", 3600.0, "60 minutes ahead"),
        ("AuthFailure", "not able to validate the credentials", -1800.0, "30 minutes behind"),
        ("AuthFailure", "not able to validate the credentials", 2.0, "access key"),
        ("SignatureDoesNotMatch", "Signature expired: 2026 is now earlier than 2027", None, "clock"),
        ("SignatureDoesNotMatch", "The request signature we calculated does not match", None, "secret_access_key"),
        ("RequestExpired", "Request has expired.", 1.0, "temporary"),
        ("RequestExpired", "Request has expired.", 3600.0, "clock"),
        ("RequestExpired", "Request has expired.", None, "clock"),
        ("ExpiredToken", "The security token is expired", 1.0, "session_token"),
    ],
)
def test_key_and_clock_are_told_apart(code: str, text: str, skew: float | None, word: str) -> None:
    error = answered("GetCallerIdentity", code, text, 403, skew=skew)
    assert isinstance(error, CloudAuthError)
    assert word in f"{error.message} {error.remedy}"


def test_unknown_region_by_its_signature() -> None:
    error = answered(
        "GetCallerIdentity", "SignatureDoesNotMatch", "Credential should be scoped to a valid region.", 403
    )
    assert isinstance(error, CloudInvalidError)
    assert error.field == "region"


def test_throttling_keeps_the_pause() -> None:
    error = answered("RunInstances", "Throttling", "Rate exceeded", 400, retry_after=7.0)
    assert isinstance(error, CloudThrottledError)
    assert error.retry_after == 7.0


def test_long_texts_are_cut_and_put_on_one_line() -> None:
    error = answered("RunInstances", "InvalidParameterValue", "wrong\n" + "x" * 5000, 400)
    assert len(error.message) < 400
    assert "\n" not in error.message


def kind(name: str, *bases: type[Exception]) -> Exception:
    """An exception of the library's, by name."""
    made: type[Exception] = type(name, bases or (Exception,), {})
    return made("the text may hold a secret")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SSLError", CloudInvalidError),
        ("ReadTimeoutError", CloudTimeoutError),
        ("ConnectTimeoutError", CloudTimeoutError),
        ("NoCredentialsError", CloudAuthError),
        ("CredentialRetrievalError", CloudAuthError),
        ("ProfileNotFound", CloudAuthError),
        ("ConfigParseError", CloudAuthError),
        ("InvalidRegionError", CloudInvalidError),
        ("ParamValidationError", CloudInvalidError),
        ("EndpointConnectionError", CloudTransientError),
        ("ConnectionClosedError", CloudTransientError),
        ("ResponseParserError", CloudTransientError),
        ("SomethingNew", CloudTransientError),
    ],
)
def test_exceptions_of_the_library(name: str, expected: type[CloudError]) -> None:
    error = broken("RunInstances", kind(name))
    assert type(error) is expected
    assert "secret" not in error.message


def test_class_of_an_exception_counts_with_its_bases() -> None:
    base = type("SSLError", (Exception,), {})
    assert "certificate" in broken("RunInstances", kind("MoreExact", base)).message
