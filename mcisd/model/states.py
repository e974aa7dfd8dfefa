"""Life-cycle states and actions, by the names of the interface."""

from enum import StrEnum


class VmState(StrEnum):
    """State of one VM as a user sees it (SYSTEM §5)."""

    CREATING = "Creating"
    RUNNING = "Running"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    RESUMING = "Resuming"
    REBOOTING = "Rebooting"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"
    FAILED = "Failed"
    UNDEFINED = "Undefined"

    @property
    def transitional(self) -> bool:
        """Something is under way."""
        return self in _TRANSITIONAL


_TRANSITIONAL = frozenset(
    {VmState.CREATING, VmState.SUSPENDING, VmState.RESUMING, VmState.REBOOTING, VmState.TERMINATING}
)


class Goal(StrEnum):
    """Where the operator wants a VM."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"
    TERMINATED = "Terminated"


class Action(StrEnum):
    """What an operation does to a VM."""

    CREATE = "create"
    SUSPEND = "suspend"
    RESUME = "resume"
    REBOOT = "reboot"
    TERMINATE = "terminate"


class AgentState(StrEnum):
    """State of the agent of one VM."""

    ABSENT = "absent"
    INSTALLING = "installing"
    UP = "up"
    SILENT = "silent"
    FAILED = "failed"
    REMOVED = "removed"


class ResourceKind(StrEnum):
    """MCIR: what a VM is made with."""

    IMAGE = "image"
    SPEC = "spec"
    NETWORK = "network"
    SECURITY_GROUP = "securityGroup"
    SSH_KEY = "sshKey"


class ResourceState(StrEnum):
    """State of a network, security group or key at its cloud (images and specs are Ready at once)."""

    CREATING = "Creating"
    READY = "Ready"
    DELETING = "Deleting"
    FAILED = "Failed"


class OnFailure(StrEnum):
    """What becomes of an MCIS when some of its VMs cannot be made."""

    KEEP = "keep"
    RETRY = "retry"
    ROLLBACK = "rollback"


class OperationState(StrEnum):
    """State of one asynchronous request."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
