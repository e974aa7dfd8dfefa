"""What the fleet talks about: whom to reach, and what a command left behind. Plain values, no I/O."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SshTarget:
    """One VM as SSH sees it.

    ``private_key`` is the user's key as OpenSSH PEM; ``host_key`` the one public line the host must prove to own.
    """

    name: str
    address: str
    port: int
    user: str
    private_key: str = field(repr=False)
    host_key: str

    @property
    def where(self) -> str:
        """For people: the name and the address."""
        return f"{self.name} ({self.address}:{self.port})"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended.

    ``exit_status`` is None if it ended by ``signal`` (a name such as ``TERM``, else "") or if the host did not tell.
    ``stdout`` and ``stderr`` are UTF-8 with other bytes replaced; ``truncated`` says that more was written than kept.
    ``elapsed_s`` counts from the call, so waiting for a connection is in it.
    """

    exit_status: int | None
    signal: str
    stdout: str
    stderr: str
    truncated: bool
    elapsed_s: float

    @property
    def ok(self) -> bool:
        """Ended by itself with status 0."""
        return self.exit_status == 0
