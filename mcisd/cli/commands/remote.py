"""`mcis run`: a command on the VMs of an MCIS. In: the command. Out: each VM's output behind its name."""

import sys
from typing import IO

import click

from mcisd.cli.render import print_json
from mcisd.cli.session import INCOMPLETE, OK, Command, Json, Session, pass_session


@click.command("run", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.option("--vm", "vms", multiple=True, metavar="VM", help="Only on this VM; may be given many times.")
@click.option("--timeout", default=60.0, show_default=True, metavar="SECONDS", help="For each VM.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_session
def run(session: Session, name: str, vms: tuple[str, ...], timeout: float, command: tuple[str, ...]) -> int:
    """Run COMMAND on all running VMs of MCIS NAME: mcis run web -- uname -a

    COMMAND goes to the VM's shell as typed, words joined by spaces. It sees MCIS_VM, MCIS_NAME, MCIS_NS and
    MCIS_ADDRESS. Exit code: 0 if it ended with 0 everywhere, else 4.
    """
    text = " ".join(command)
    results = session.call(lambda client: client.command(session.ns, name, text, vms=vms, timeout=timeout))
    if session.json:
        print_json(results)
    else:
        width = max((len(result["vm"]) for result in results), default=0)
        for result in results:
            _print(result, width)
    return OK if all(result["exitStatus"] == 0 for result in results) else INCOMPLETE


def _print(result: Json, width: int) -> None:
    prefix = f"{result['vm']:<{width}} | "
    _prefixed(sys.stdout, prefix, result["stdout"])
    sys.stdout.flush()
    _prefixed(sys.stderr, prefix, result["stderr"])
    if result["truncated"]:
        sys.stderr.write(f"{prefix}[the rest of the output was cut off]\n")
    if result["error"]:
        sys.stderr.write(f"{prefix}error: {result['error']}\n")
    elif result["exitStatus"] != 0:
        sys.stderr.write(f"{prefix}exit status {result['exitStatus']}\n")


def _prefixed(stream: IO[str], prefix: str, text: str) -> None:
    for line in text.splitlines():
        stream.write(f"{prefix}{line}\n")


COMMANDS: tuple[click.Command, ...] = (run,)
