"""What AWS's refusals mean in our words. Pure. In: a code and text, or the library's exception. Out: CloudError.

Texts of AWS are passed on shortened; those of the library are not, as they may hold what we sent.
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
    CloudTimeoutError,
    CloudTransientError,
    CloudUnsupportedError,
)

SKEW = 300.0
"""Seconds by which a clock may differ; AWS refuses from five minutes on."""
WRONG_KEY = frozenset({
    "AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
})  # fmt: skip
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
CLOCK = frozenset({"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"})
FORBIDDEN = frozenset({
    "AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedAccess", "UnauthorizedOperation",
})  # fmt: skip
ACCOUNT = frozenset({
    "Blocked", "NotSignedUp", "OptInRequired", "PendingVerification", "SubscriptionRequiredException",
})  # fmt: skip
THROTTLED = frozenset({
    "BandwidthLimitExceeded", "ConcurrentTagAccess", "EC2ThrottledException", "RequestLimitExceeded",
    "RequestThrottled", "RequestThrottledException", "SlowDown", "ThrottledException", "Throttling",
    "ThrottlingException", "TooManyRequestsException",
})  # fmt: skip
QUOTA = frozenset({
    "InsufficientFreeAddressesInSubnet", "MaxSpotInstanceCountExceeded", "ResourceCountExceeded",
    "SnapshotCreationPerVolumeRateExceeded",
})  # fmt: skip
TRANSIENT = frozenset({
    "InternalError", "InternalFailure", "InternalServerError", "InternalServiceError", "RequestTimeout",
    "RequestTimeoutException", "ServerInternal", "ServiceUnavailable", "ServiceUnavailableException", "Unavailable",
})  # fmt: skip
CONFLICT = frozenset({
    "DependencyViolation", "IdempotentInstanceTerminated", "IdempotentParameterMismatch", "IncorrectInstanceState",
    "IncorrectState", "InvalidGroup.Reserved", "InvalidSubnet.Conflict", "OperationNotPermitted",
    "Resource.AlreadyAssociated", "ResourceInUse", "RouteAlreadyExists", "VolumeInUse",
})  # fmt: skip
UNSUPPORTED = frozenset(
    {"UnsupportedHibernationConfiguration", "UnsupportedOperation", "UnsupportedOperationException"}
)
UNKNOWN = frozenset({"Gateway.NotAttached", "InvalidInstanceType", "NoSuchResourceException", "NoSuchEntity"})


def answered(
    operation: str, code: str, text: str, status: int, *, skew: float | None = None, retry_after: float | None = None
) -> CloudError:
    """The error for an answer of AWS: its code, text and HTTP status.

    ``skew`` is by how many seconds this machine's clock is ahead of AWS's (None where the answer had no date).
    """
    if code in WRONG_KEY and "valid region" in text:
        return CloudInvalidError(
            f"AWS has no region of this name ({code})",
            field="region",
            remedy="use one as in: ap-northeast-2, us-east-1",
        )
    said = f"AWS refused {operation}: {_short(text)} ({code})"
    auth = _auth(operation, code, text, skew)
    if auth is not None:
        return auth
    if code in THROTTLED or status == 429:
        return CloudThrottledError(f"AWS has too many calls of {operation} ({code})", retry_after=retry_after)
    if code.startswith("Insufficient") and code not in QUOTA:
        return CloudCapacityError(said, remedy="choose another zone, region or spec, or try later")
    if code in QUOTA or (code.endswith("LimitExceeded") and code != "TagLimitExceeded"):
        return CloudQuotaError(said, remedy="ask AWS for a higher quota (Service Quotas), or remove what is not needed")
    if code in TRANSIENT or status >= 500:
        return CloudTransientError(f"AWS failed to answer {operation} ({code})")
    if code in CONFLICT or code.endswith((".Duplicate", ".InUse")):
        return CloudConflictError(said)
    if code in UNSUPPORTED:
        return CloudUnsupportedError(said)
    if code in UNKNOWN or code.endswith((".NotFound", ".Malformed", ".Unavailable")):
        return CloudNotFoundError(said)
    return CloudInvalidError(said)


def _auth(operation: str, code: str, text: str, skew: float | None) -> CloudAuthError | None:
    """The error for what is about who asks, or when; None for all else."""
    late = "Signature expired" in text or "Signature not yet current" in text
    measured = skew is not None and abs(skew) > SKEW
    if code in EXPIRED or (code == "RequestExpired" and skew is not None and not measured):
        return CloudAuthError(
            f"the temporary AWS key has expired ({code})",
            field="credential",
            remedy="get a new session_token with its access key, or use a profile or a role, which renew themselves",
        )
    if code in CLOCK or (code in WRONG_KEY and (late or measured)):
        return _clock(code, skew)
    if code in WRONG_KEY:
        return CloudAuthError(
            f"AWS does not accept the access key ({code})",
            field="credential",
            remedy="check access_key_id and secret_access_key (and session_token, if the key is temporary)",
        )
    if code in FORBIDDEN:
        action = _action(operation, text)
        return CloudAuthError(
            f"this AWS key may not call {action} ({code})",
            field="credential",
            remedy=f"allow {action} in the IAM policy of its user or role; docs/clouds/aws.md has the whole policy",
        )
    if code in ACCOUNT:
        return CloudAuthError(
            f"the AWS account cannot use this: {_short(text)} ({code})",
            field="credential",
            remedy="finish signing up, or enable the region or subscribe to the image in the AWS console",
        )
    return None


def _clock(code: str, skew: float | None) -> CloudAuthError:
    if skew is not None and abs(skew) > SKEW:
        side = "ahead of" if skew > 0 else "behind"
        return CloudAuthError(
            f"the clock of this machine is {abs(skew) / 60:.0f} minutes {side} AWS's ({code})",
            remedy="set the clock (NTP), then try again",
        )
    return CloudAuthError(
        f"AWS takes the request for too old or too new ({code})",
        remedy="check the clock of this machine (NTP); a temporary key may also have expired",
    )


def broken(operation: str, error: Exception) -> CloudError:
    """The error for what the library raised when there was no answer to judge; by the names of its classes."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "SSLError" in names:
        return CloudInvalidError(
            f"the certificate of the AWS endpoint is not trusted ({operation})",
            field="endpoint",
            remedy="check the endpoint's address, or name its authority's certificate file in ca_file",
        )
    if names & {"ReadTimeoutError", "ConnectTimeoutError", "TimeoutError"}:
        return CloudTimeoutError(f"AWS gave no answer to {operation} in time")
    if names & {"NoCredentialsError", "CredentialRetrievalError", "MetadataRetrievalError", "PartialCredentialsError"}:
        return CloudAuthError(
            "no AWS credentials were found",
            field="credential",
            remedy="give access_key_id and secret_access_key, a profile or a role_arn, or give this machine a role",
        )
    if names & _LOCAL:
        return CloudAuthError(
            f"the AWS profile cannot be used ({type(error).__name__})",
            field="profile",
            remedy="check the profile's name and its entry in the AWS config files of the daemon's user",
        )
    if names & {"InvalidRegionError", "UnknownRegionError", "NoRegionError", "InvalidEndpointConfigurationError"}:
        return CloudInvalidError("AWS has no region of this name", field="region", remedy="use one of AWS's regions")
    if "ParamValidationError" in names:
        return CloudInvalidError(f"a value for {operation} is not one that AWS takes ({type(error).__name__})")
    return CloudTransientError(f"the connection to AWS broke at {operation} ({type(error).__name__})")


_LOCAL = {
    "ProfileNotFound", "ConfigNotFound", "ConfigParseError", "InvalidConfigError", "InfiniteLoopConfigError",
    "TokenRetrievalError", "SSOError", "UnauthorizedSSOTokenError", "SSOTokenLoadError", "UnknownCredentialError",
}  # fmt: skip


def _short(text: str) -> str:
    """A text of AWS on one line and without the long encoded part that some end with."""
    return " ".join(text.split("Encoded authorization failure")[0].split())[:300].rstrip(". ")


def _action(operation: str, text: str) -> str:
    """The permission that lacks, as policies name it; AWS mostly says it."""
    found = re.search(r"to perform:? ([a-z0-9-]+:[A-Za-z]+)", text)
    return found.group(1) if found else operation
