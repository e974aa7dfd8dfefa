"""The agent's entry point: ``agent.pyz --config DIR/agent.json``. Exit codes: 0 orderly, 64 do not restart, 1 error."""

import fcntl
import os
import sys

from mcisd.agent import config, run

FAILED = 1


def main(arguments: "list[str]") -> "int":
    """Run the agent until it ends; gives the exit code."""
    if len(arguments) != 2 or arguments[0] != "--config":
        return _failed("usage: agent.pyz --config FILE")
    try:
        settings = config.load(arguments[1])
        lock = _lock(settings.spool_dir)
        agent = run.Agent(settings, dict(os.environ))
    except (OSError, ValueError, KeyError) as error:
        return _failed(str(error) or type(error).__name__)
    code = agent.run()
    if lock >= 0:
        os.close(lock)
    return code


def _lock(folder: "str") -> "int":
    """Keep a second agent away from the same spool; -1 if the disk cannot be used. Raises ConfigError."""
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        fd = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return -1  # measuring without a spool is better than not measuring
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise config.ConfigError("spool_dir %s: another agent uses it; stop that one first" % folder) from None
    return fd


def _failed(reason: "str") -> "int":
    print("mcisd-agent: %s" % reason, file=sys.stderr)
    return FAILED
