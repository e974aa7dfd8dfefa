"""`mcis ops, calls, console, system`: what the daemon is doing, and the way to its console."""

import webbrowser
from typing import TYPE_CHECKING

import click

from mcisd.cli.follow import finish, outcome
from mcisd.cli.render import moment, number, print_json, print_table
from mcisd.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from mcisd.client import Client
    from mcisd.client.transport import Json


@click.command("ops", cls=Command)
@click.argument("operation", required=False)
@click.option("--state", type=click.Choice(["running", "succeeded", "partial", "failed"]), help="Only in this state.")
@pass_session
def ops(session: Session, operation: str | None, state: str | None) -> int | None:
    """List operations; with OPERATION, follow that one to its end."""
    if operation:
        return session.call(lambda client: _follow(session, client, operation))
    found = session.call(lambda client: client.list_operations(state or ""))
    if session.json:
        print_json(found)
        return None
    rows = [
        (row["id"], row["kind"], f"{row['nameSpace']}/{row['infraSvc']}", row["state"], row["actor"],
         moment(row["createdAt"]), _lasted(row["createdAt"], row["finishedAt"]), row["message"])
        for row in found
    ]  # fmt: skip
    columns = ("ID", "KIND", "INFRA", "STATE", "BY", "STARTED", ">SECONDS", "MESSAGE")
    print_table(columns, rows, empty="no operations")
    return None


async def _follow(session: Session, client: "Client", name: str) -> int:
    operation = await client.get_operation(name)
    if operation["state"] != "running":
        return outcome(session, operation)
    return await finish(session, client, operation)


def _lasted(start: float, end: float | None) -> str:
    return "-" if end is None else number(end - start)


@click.command("calls", cls=Command)
@click.option("--connection", default="", metavar="NAME", help="Only those of this connection.")
@click.option("-n", "--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@pass_session
def calls(session: Session, connection: str, limit: int) -> None:
    """Show the calls made to clouds, newest first."""
    found = session.call(lambda client: client.list_of("calls", connection=connection, limit=limit))
    if session.json:
        return print_json(found)
    rows = [
        (moment(row["time"]), row["connection"], row["region"], row["resource"], row["api"], row["requests"],
         number(row["elapsedMs"]), row["attempt"], row["errorCode"], row["error"])
        for row in found
    ]  # fmt: skip
    columns = ("TIME", "CONNECTION", "REGION", "RESOURCE", "API", ">REQ", ">MS", ">TRY", "CODE", "ERROR")
    return print_table(columns, rows, empty="no calls yet")


@click.command("console", cls=Command)
@click.option("--open", "show", is_flag=True, help="Open it in the browser of this machine.")
@pass_session
def console(session: Session, show: bool) -> None:
    """Print a link that opens the console. It works once, for ten minutes."""
    link = session.call(lambda client: client.console_link())
    if session.json:
        print_json({"url": link})
    else:
        click.echo(link)
    if show and not webbrowser.open(link):
        click.echo("no browser could be opened; use the link above", err=True)


@click.command("system", cls=Command)
@pass_session
def system(session: Session) -> None:
    """Show the daemon's version, its processes, and services and counters of the one that answers."""
    found = session.call(lambda client: client.system())
    if session.json:
        return print_json(found)
    click.echo(f"mcisd {found['version']}, installation {found['installation']}, since {moment(found['startedAt'])}")
    nodes = [_node(node) for node in found["nodes"]]
    print_table(("PROCESS", "ROLES", ">LINKS", "LISTENS", "SINCE"), nodes, empty="no process is known")
    rows = [*found["services"].items(), *((name, f"{value:g}") for name, value in found["counters"].items())]
    return print_table(("PART", "STATE"), rows, empty="it says nothing about itself")


def _node(node: "Json") -> tuple[str, ...]:
    """A process in one row."""
    listens = " ".join(part for part in (node["url"], node["collector"]) if part)
    name = f"{node['name']} (draining)" if node["draining"] else node["name"]
    return name, ",".join(node["roles"]), str(node["links"]), listens, moment(node["startedAt"])


COMMANDS: tuple[click.Command, ...] = (ops, calls, console, system)
