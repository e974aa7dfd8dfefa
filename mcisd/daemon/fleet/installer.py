"""The agent on a VM: a target and a spec in, a running agent out (or none, for ``remove_agent``), in one SSH command.

The token travels on the command's standard input into a file of mode 0600. It is never an argument, a variable of the
environment, or part of what we log or raise.
"""

import json
import re
from dataclasses import dataclass

from mcisd.daemon.fleet.payload import INSTALL_COMMAND, REMOVE_COMMAND, AgentSpec, install_tar, remove_script
from mcisd.daemon.fleet.ssh import SshPool
from mcisd.daemon.fleet.target import CommandResult, SshTarget
from mcisd.model.errors import HostCommandError, HostDiskFullError, HostError, HostUnreachableError

__all__ = ["AgentInstallResult", "AgentSpec", "install_agent", "remove_agent"]

_DISK_FULL = re.compile(
    r"no space left|disk quota exceeded|file too large|file size limit|wrote only \d+ of", re.IGNORECASE
)
_OUTPUT_LIMIT = 64 * 1024

_REMEDIES = {
    "no-python": "install python3 on the VM or choose an image that has it",
    "no-permission": "make the user's home directory writable",
    "agent-died": "look at ~/.mcisd/agent/agent.log on the VM",
}


@dataclass(frozen=True, slots=True)
class AgentInstallResult:
    """How the agent runs now: the VM's Python version, and what starts it again.

    ``how`` is ``systemd-system``, ``systemd-user``, ``rc.local``, ``cron``, or ``loop`` (which a reboot ends).
    """

    python: str
    how: str
    elapsed_s: float


async def install_agent(pool: SshPool, target: SshTarget, spec: AgentSpec, *, timeout: float) -> AgentInstallResult:
    """Install or replace the agent, start it, and see that it stays up for a second. Repeating it is harmless.

    Raises HostDiskFullError, HostCommandError (no Python, no permission, the agent died), and what ``SshPool.run``
    raises on the way. HostUnreachableError if another installation is under way on this VM.
    """
    result = await pool.run(target, INSTALL_COMMAND, timeout=timeout, stdin=install_tar(spec), limit=_OUTPUT_LIMIT)
    answer = _answer(result.stdout)
    if result.ok and answer.get("ok") is True:
        return AgentInstallResult(str(answer["python"]), str(answer["how"]), result.elapsed_s)
    raise _failure(target, spec, result, answer)


async def remove_agent(pool: SshPool, target: SshTarget, *, timeout: float) -> None:
    """Stop the agent and take away all that the installation made. Fine if there is none.

    Raises HostCommandError if something stays, and what ``SshPool.run`` raises on the way.
    """
    result = await pool.run(target, REMOVE_COMMAND, timeout=timeout, stdin=remove_script(), limit=_OUTPUT_LIMIT)
    if not result.ok:
        raise HostCommandError(f"{target.where}: the agent could not be removed ({_last_line(result)})")


def _answer(stdout: str) -> dict[str, object]:
    """The script's JSON line; empty if it did not come so far. Login shells may print other lines before it."""
    for line in reversed(stdout.splitlines()):
        if line.startswith('{"ok":'):
            try:
                answer = json.loads(line)
            except ValueError:
                return {}
            return answer if isinstance(answer, dict) else {}
    return {}


def _failure(target: SshTarget, spec: AgentSpec, result: CommandResult, answer: dict[str, object]) -> HostError:
    code = str(answer.get("error", ""))
    detail = str(answer.get("detail") or _last_line(result))
    if spec.token:
        detail = detail.replace(spec.token, "***")
    said = f"{target.where}: the agent was not installed ({detail})"
    if code == "disk-full" or _DISK_FULL.search(result.stderr) or _DISK_FULL.search(detail) or result.signal == "XFSZ":
        return HostDiskFullError(said, remedy="free some space on the VM's disk")
    if code in ("busy", "interrupted"):
        return HostUnreachableError(said)
    if "tar: not found" in result.stderr or "tar: command not found" in result.stderr:
        return HostCommandError(said, remedy="install tar on the VM")
    return HostCommandError(said, remedy=_REMEDIES.get(code))


def _last_line(result: CommandResult) -> str:
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    if lines:
        return lines[-1][:300]
    return f"signal {result.signal}" if result.signal else f"exit status {result.exit_status}"
