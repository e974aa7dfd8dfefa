"""One command on many VMs: targets and a command in, one result or error per VM out, each reported as it comes."""

import asyncio
import re
import shlex
from collections.abc import Callable, Iterator

from mcisd.daemon.fleet.ssh import SshPool
from mcisd.daemon.fleet.target import CommandResult, SshTarget
from mcisd.model.errors import HostError, InputError

Outcome = CommandResult | HostError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


async def run_on_many(
    pool: SshPool,
    targets: list[SshTarget],
    command: str,
    *,
    timeout: float,
    concurrency: int = 64,
    env: Callable[[SshTarget], dict[str, str]],
    on_result: Callable[[str, Outcome], None],
) -> dict[str, Outcome]:
    """Run ``command`` on every target, ``concurrency`` at a time, each with ``timeout`` seconds of its own.

    ``env`` gives the variables the command sees on that VM. ``on_result`` is called with the target's name as each
    one ends; the answer holds all of them by name. A dead host takes one of the places for its timeout, no more.
    Raises InputError for a variable that a shell cannot take; then nothing has run.
    """
    lines = {target.name: with_env(command, env(target)) for target in targets}
    outcomes: dict[str, Outcome] = {}
    waiting = iter(targets)

    async def work(mine: Iterator[SshTarget]) -> None:
        for target in mine:
            try:
                outcome: Outcome = await pool.run(target, lines[target.name], timeout=timeout)
            except HostError as error:
                outcome = error
            outcomes[target.name] = outcome
            on_result(target.name, outcome)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(targets))):
            group.create_task(work(waiting))
    return outcomes


def with_env(command: str, variables: dict[str, str]) -> str:
    """``command`` with the variables exported before it, quoted for a POSIX shell. Raises InputError."""
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"env: {name!r} is no variable name; use letters, digits and _", field="env")
        if "\0" in value:
            raise InputError(f"env: {name} holds a NUL byte; remove it", field="env")
    return "".join(f"export {name}={shlex.quote(value)}; " for name, value in variables.items()) + command
