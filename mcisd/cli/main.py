"""`mcis`: entry point. In: arguments. Out: the exit code, and one line for every error.

Exit codes: 0 fine · 1 the daemon answered with an error · 2 wrong arguments · 3 no daemon, or no access ·
4 an operation (or remote command) ended partial or failed · 130 Ctrl-C.
"""

import os
import sys

import click

from mcisd.cli.commands import alarms, clouds, control, credentials, infra, inventory, look, policies, remote, system
from mcisd.cli.session import INTERRUPTED, NO_ACCESS, OK, REFUSED, Group
from mcisd.model.errors import McisdError


class Root(Group):
    """All commands; lists of things are found by the singular, too."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, name) or super().get_command(context, f"{name}s")


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mcisd", prog_name="mcis")
def mcis() -> None:
    """Launch, watch and steer groups of VMs (MCIS) across clouds.

    \b
    Begin with:  mcis connections create NAME --driver local --region us-east-1 \\
                   --credential account=me --credential secret=-
                 mcis ns create default
                 mcis create web --vm front:3@NAME
                 mcis status web --watch

    Exit codes: 0 fine, 1 refused by the daemon, 2 wrong arguments, 3 no daemon or no access, 4 ended partial or
    failed, 130 Ctrl-C.
    """


for _part in (credentials, clouds, inventory, infra, control, look, remote, alarms, policies, system):
    for _command in _part.COMMANDS:
        mcis.add_command(_command)


def main(argv: list[str] | None = None) -> int:
    """Run `mcis`; the exit code. Every error becomes one line on standard error."""
    try:
        code = mcis.main(argv, prog_name="mcis", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`mcis events | head`); nothing more may be written to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except McisdError as error:
        return _told(error)
    return code if isinstance(code, int) else OK


def _told(error: McisdError) -> int:
    from mcisd.client import ApiError

    click.echo(f"error: {error}", err=True)
    return NO_ACCESS if isinstance(error, ApiError) and error.no_access else REFUSED


if __name__ == "__main__":
    sys.exit(main())
