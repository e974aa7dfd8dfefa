"""`mcis connections specs, images, quotas, owned, orphans`, `mcis console-log`: what a cloud has, allows, holds; what a
VM says."""

import re
import sys

import click

from mcisd.cli.commands.clouds import connections
from mcisd.cli.render import moment, number, print_json, print_table, printable
from mcisd.cli.session import INCOMPLETE, OK, Command, Json, Session, pass_session

DONE = "removed"
_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@connections.command("specs")
@click.argument("name")
@pass_session
def specs(session: Session, name: str) -> None:
    """List the VM sizes of connection NAME's region, the cheapest first."""
    found = session.call(lambda client: client.list_catalogue(name, "specs"))
    if session.json:
        return print_json(found)
    rows = [
        (row["id"], row["vcpus"], row["memoryMib"], row["gpus"] or "", row["architecture"],
         number(row["price"], 4), row["priceDate"])
        for row in sorted(found, key=lambda row: (row["price"] is None, row["price"], row["vcpus"], row["id"]))
    ]  # fmt: skip
    columns = ("ID", ">VCPU", ">MIB", ">GPU", "PROCESSOR", ">USD/H", "PRICE OF")
    return print_table(columns, rows, empty="the cloud lists no sizes")


@connections.command("images")
@click.argument("name")
@pass_session
def images(session: Session, name: str) -> None:
    """List the images of connection NAME's region. An alias serves as well as the id."""
    found = session.call(lambda client: client.list_catalogue(name, "images"))
    if session.json:
        return print_json(found)
    rows = [(row["alias"], row["architecture"], row["guestUser"], row["name"], row["id"]) for row in found]
    return print_table(("ALIAS", "PROCESSOR", "USER", "NAME", "ID"), rows, empty="the cloud lists no images")


@connections.command("quotas")
@click.argument("name")
@pass_session
def quotas(session: Session, name: str) -> None:
    """Show what the account of connection NAME may have in its region."""
    found = session.call(lambda client: client.list_quotas(name))
    if session.json:
        return print_json(found)
    rows = [(row["name"], row["used"], "no limit" if row["limit"] is None else row["limit"]) for row in found]
    return print_table(("WHAT", ">USED", ">LIMIT"), rows, empty="the cloud names no quota")


@connections.command("owned")
@click.argument("name")
@pass_session
def owned(session: Session, name: str) -> None:
    """Show everything at the cloud of connection NAME that bears our mark."""
    found = session.call(lambda client: client.list_owned(name))
    return print_json(found) if session.json else _table(found, f"nothing at {name} bears our mark")


@connections.command("orphans")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Remove those that were seen unknown twice, at least 60 s apart.")
@click.option("--force", is_flag=True, help="With --remove: also those that were seen only now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def orphans(session: Session, name: str, remove: bool, force: bool, yes: bool) -> int:
    """Show what is ours at the cloud of connection NAME and unknown to this daemon, or remove it.

    After an old backup of the database was restored, VMs made since then are unknown, too: look before you remove.
    """
    found = [row for row in session.call(lambda client: client.list_owned(name)) if not row["known"]]
    if not remove or not found:
        if session.json:
            print_json(found)
        else:
            _table(found, f"nothing at {name} is unknown here")
        return OK
    if not yes:
        _confirm(name, found)
    done = session.call(lambda client: client.remove_orphans(name, force=force))
    if session.json:
        print_json(done)
    else:
        rows = [(row["kind"], row["name"], row["id"], row["outcome"], row["error"]) for row in done]
        print_table(("KIND", "NAME", "ID", "OUTCOME", "WHY"), rows, empty="nothing was left to remove")
    return OK if all(row["outcome"] == DONE for row in done) else INCOMPLETE


def _confirm(name: str, found: list[Json]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"removing {len(found)} object(s) of {name} cannot be undone: say --yes")
    _table(found, "")
    click.confirm(f"remove {len(found)} object(s) for good?", abort=True, err=True)


def _table(found: list[Json], empty: str) -> None:
    rows = [
        (row["kind"], row["name"], row["id"], "yes" if row["known"] else "orphan" if row["orphan"] else "no",
         moment(row["unknownSince"]))
        for row in found
    ]  # fmt: skip
    print_table(("KIND", "NAME", "ID", "KNOWN", "UNKNOWN SINCE"), rows, empty=empty)


@click.command("console-log", cls=Command)
@click.argument("name")
@click.argument("vm")
@pass_session
def console_log(session: Session, name: str, vm: str) -> None:
    """Print what VM of MCIS NAME says on its serial console: why it does not come up."""
    found = session.call(lambda client: client.console_output(session.ns, name, vm))
    if session.json:
        return print_json(found)
    if not found["text"]:
        return click.echo(f"{vm} has not said anything yet", err=True)
    return click.echo(printable(_COLOURS.sub("", found["text"].replace("\r\n", "\n"))))


COMMANDS: tuple[click.Command, ...] = (console_log,)
