"""`mcis suspend, resume, reboot, terminate, retry, rollback`: the life cycle of an MCIS or of one VM."""

import sys
from typing import TYPE_CHECKING

import click

from mcisd.cli.follow import finish
from mcisd.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from mcisd.client import Client

_HELP = {
    "suspend": "Suspend MCIS NAME, or one VM of it.",
    "resume": "Resume MCIS NAME, or one VM of it.",
    "reboot": "Reboot MCIS NAME, or one VM of it.",
    "terminate": "Terminate all VMs of MCIS NAME, or one of them, for good.",
    "retry": "Make the failed VMs of MCIS NAME anew.",
    "rollback": "Remove what the newest create or expand with failures has made.",
}
_ASKS = ("terminate", "rollback")
_WHOLE = ("retry", "rollback")


def _make(action: str) -> click.Command:
    @click.command(action, cls=Command, help=_HELP[action])
    @click.argument("name")
    @click.option("--yes", is_flag=True, help="Do not ask.", hidden=action not in _ASKS)
    @click.option("--no-wait", is_flag=True, help="Return at once; the operation goes on.")
    @pass_session
    def command(session: Session, name: str, yes: bool, no_wait: bool, vm: str = "", hibernate: bool = False) -> int:
        if action in _ASKS and not yes:
            _confirm(action, f"{name}/{vm}" if vm else name)

        async def work(client: "Client") -> int:
            operation = await client.act(session.ns, name, action, vm, hibernate=hibernate)
            return await finish(session, client, operation, wait=not no_wait)

        return session.call(work)

    if action not in _WHOLE:
        command.params.insert(1, click.Option(["--vm"], default="", metavar="VM", help="Only this VM of it."))
    if action == "suspend":
        words = "Keep the memory, too: programs go on after resume. Not every cloud can."
        command.params.insert(2, click.Option(["--hibernate"], is_flag=True, help=words))
    return command


def _confirm(action: str, what: str) -> None:
    """Ask a person; a program must say --yes."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{action} of {what} cannot be undone: say --yes")
    click.confirm(f"{action} {what}?", abort=True, err=True)


COMMANDS: tuple[click.Command, ...] = tuple(_make(action) for action in _HELP)
