"""Following an operation to its end. In: an operation. Out: progress on standard error, the exit code of its outcome.

On a terminal a bar moves; elsewhere there are plain lines: one at the start, one at the end, and a few in between.
"""

import asyncio
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from mcisd.cli.render import console, print_json
from mcisd.cli.session import INCOMPLETE, OK, Json, Session

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mcisd.client import Client

PLAIN_EVERY = 5.0
_SETTLED = ("Running", "Suspended", "Terminated", "Failed", "Undefined")


async def finish(session: Session, client: "Client", operation: Json, *, wait: bool = True) -> int:
    """Follow ``operation`` (unless ``wait`` is False), print its outcome; the exit code that fits."""
    if not wait:
        _print_started(session, operation)
        return OK
    try:
        with Follower(operation) as follower:
            ended = await client.follow_operation(operation["id"], lambda now: follower.look(client, now))
    except asyncio.CancelledError:
        click.echo(f"the operation goes on; follow it with: mcis ops {operation['id']}", err=True)
        raise
    return outcome(session, ended)


def outcome(session: Session, ended: Json) -> int:
    """Print how an operation ended; its exit code."""
    if session.json:
        print_json(ended)
    else:
        seconds = (ended["finishedAt"] or time.time()) - ended["createdAt"]
        click.echo(f"{ended['kind']} of {ended['infraSvc']} {ended['state']} in {seconds:.1f} s: {ended['message']}")
    return OK if ended["state"] == "succeeded" else INCOMPLETE


def _print_started(session: Session, operation: Json) -> None:
    if session.json:
        print_json(operation)
    else:
        name = operation["id"]
        click.echo(f"{operation['kind']} of {operation['infraSvc']} began; follow it with: mcis ops {name}")


class Follower:
    """Shows how far an operation is, by the states of the VMs of its MCIS."""

    def __init__(self, operation: Json) -> None:
        self._operation = operation
        self._title = f"{operation['kind']} {operation['infraSvc']}"
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._plain_at = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn())
            self._bar = Progress(*columns, console=console(error=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._operation["total"] or None)
        else:
            click.echo(f"{self._title}: {self._operation['total']} VM(s) …", err=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    async def look(self, client: "Client", operation: Json) -> None:
        """One more look while it runs."""
        from mcisd.client import ApiError

        try:
            status = await client.status(operation["nameSpace"], operation["infraSvc"])
        except ApiError as error:
            if error.no_access:
                raise
            return  # the MCIS may be gone already while its operation still ends
        settled = sum(count for state, count in status["counts"].items() if state in _SETTLED)
        self.show(settled, status["total"], str(status["status"]))

    def show(self, settled: int, total: int, text: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=settled, total=total, description=f"{self._title}: {text}")
        elif time.monotonic() - self._plain_at > PLAIN_EVERY:
            self._plain_at = time.monotonic()
            click.echo(f"{self._title}: {text}", err=True)
