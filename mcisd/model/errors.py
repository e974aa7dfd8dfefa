"""The error tree. ``code`` names the error for programs, ``retriable`` says whether the same call may succeed later.

McisdError
├── InputError            what the caller sent is wrong; ``field`` and ``remedy`` say what and how to mend it
│   ├── TooLargeError     more than a stated limit
│   └── ConfigError       a setting is wrong
├── AccessError           no or wrong token
├── NotFoundError         no such object
├── ConflictError         the name is taken, or the object changed meanwhile
│   ├── InUseError        others refer to it
│   ├── StateError        the action makes no sense in this state
│   └── StaleError        somebody newer changed the row; load again
├── CloudError            what a cloud answered, in our words
│   ├── CloudAuthError, CloudQuotaError, CloudCapacityError, CloudInvalidError, CloudNotFoundError,
│   │   CloudConflictError, CloudUnsupportedError      final
│   └── CloudThrottledError (retry_after), CloudTransientError, CloudTimeoutError      retriable
├── HostError             what happened on the way to, or on, a VM
│   ├── HostKeyError, HostAuthError, HostDiskFullError, HostCommandError      final
│   └── HostUnreachableError, HostTimeoutError      retriable
├── StoreError            the store refused or is away; retriable
├── BusError              the bus refused or is away; retriable
└── DeliveryError         a message could not be delivered; ``retriable`` per instance
"""


class McisdError(Exception):
    """Root of all our errors: one plain sentence, and where it applies the field at fault and the remedy."""

    code = "error"
    retriable = False

    def __init__(self, message: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy


class InputError(McisdError):
    code = "invalid"


class TooLargeError(InputError):
    code = "too-large"


class ConfigError(InputError):
    code = "config"


class AccessError(McisdError):
    code = "unauthorized"


class NotFoundError(McisdError):
    code = "not-found"


class ConflictError(McisdError):
    code = "conflict"


class InUseError(ConflictError):
    code = "in-use"


class StateError(ConflictError):
    code = "state"


class StaleError(ConflictError):
    code = "stale"
    retriable = True


class CloudError(McisdError):
    code = "cloud"


class CloudAuthError(CloudError):
    code = "cloud-auth"


class CloudQuotaError(CloudError):
    code = "cloud-quota"


class CloudCapacityError(CloudError):
    code = "cloud-capacity"


class CloudInvalidError(CloudError):
    code = "cloud-invalid"


class CloudNotFoundError(CloudError):
    code = "cloud-not-found"


class CloudConflictError(CloudError):
    code = "cloud-conflict"


class CloudUnsupportedError(CloudError):
    code = "cloud-unsupported"


class CloudThrottledError(CloudError):
    """The cloud asks for patience; ``retry_after`` in seconds, None where it did not say."""

    code = "cloud-throttled"
    retriable = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CloudTransientError(CloudError):
    code = "cloud-transient"
    retriable = True


class CloudTimeoutError(CloudError):
    """No answer in time: the call may or may not have taken effect."""

    code = "cloud-timeout"
    retriable = True


class HostError(McisdError):
    code = "host"


class HostKeyError(HostError):
    """The host showed another key than the one we gave it: somebody stands in between, or the VM was replaced."""

    code = "host-key"


class HostAuthError(HostError):
    code = "host-auth"


class HostDiskFullError(HostError):
    code = "host-disk-full"


class HostCommandError(HostError):
    code = "host-command"


class HostUnreachableError(HostError):
    code = "host-unreachable"
    retriable = True


class HostTimeoutError(HostError):
    code = "host-timeout"
    retriable = True


class StoreError(McisdError):
    """``retry_after`` in seconds, None where the store did not say."""

    code = "store"
    retriable = True

    def __init__(
        self, message: str, *, field: str | None = None, remedy: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, field=field, remedy=remedy)
        self.retry_after = retry_after


class BusError(McisdError):
    code = "bus"
    retriable = True


class DeliveryError(McisdError):
    """A receiver did not take a message; ``retriable`` False means it never will (dead letter)."""

    code = "delivery"

    def __init__(self, message: str, *, retriable: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.retry_after = retry_after
