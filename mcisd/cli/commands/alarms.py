"""`mcis alarms, thresholds, channels`: what is watched, what is wrong, who is told."""

import sys

import click

from mcisd.cli.render import moment, number, print_json, print_table
from mcisd.cli.session import Command, Group, Json, Session, pass_session
from mcisd.cli.vmspec import read_json


@click.command("alarms", cls=Command)
@click.option("--firing", is_flag=True, help="Only those that fire now.")
@click.option("--infra", default="", metavar="NAME", help="Only those of this MCIS.")
@pass_session
def alarms(session: Session, firing: bool, infra: str) -> None:
    """List alarms of the namespace."""
    phase = "firing" if firing else ""
    found = session.call(lambda client: client.list_alarms(session.ns, infra, phase))
    if session.json:
        return print_json(found)
    rows = [
        (row["rule"], row["infraSvc"], row["subject"], row["severity"], row["phase"], number(row["value"]),
         number(row["threshold"]), moment(row["since"]), moment(row["firedAt"]), moment(row["resolvedAt"]))
        for row in found
    ]  # fmt: skip
    return print_table(
        ("RULE", "INFRA", "SUBJECT", "SEVERITY", "PHASE", ">VALUE", ">LIMIT", "SINCE", "FIRED", "RESOLVED"),
        rows,
        empty="no alarm fires" if firing else "no alarms",
    )


@click.group(cls=Group, invoke_without_command=True)
@click.argument("name")
@click.pass_context
def thresholds(context: click.Context, name: str) -> None:
    """Get, set or reset the alarm thresholds of MCIS NAME: mcis thresholds NAME set FILE"""
    context.meta["mcis.name"] = name
    if context.invoked_subcommand is None:
        context.invoke(get_thresholds)


@thresholds.command("get")
@pass_session
@click.pass_context
def get_thresholds(context: click.Context, session: Session) -> None:
    """Show the thresholds in force."""
    name = context.meta["mcis.name"]
    _show(session, session.call(lambda client: client.get_thresholds(session.ns, name)))


@thresholds.command("set")
@click.argument("path", metavar="FILE")
@pass_session
@click.pass_context
def set_thresholds(context: click.Context, session: Session, path: str) -> None:
    """Replace all thresholds by those of a JSON file: {"thresholds": [{"metric": "cpu.usage_active", ...}]}"""
    name, document = context.meta["mcis.name"], read_json(path)
    if not isinstance(document.get("thresholds"), list):
        raise click.UsageError(f'file {path} needs a list "thresholds"')
    _show(session, session.call(lambda client: client.set_thresholds(session.ns, name, document["thresholds"])))


@thresholds.command("reset")
@pass_session
@click.pass_context
def reset_thresholds(context: click.Context, session: Session) -> None:
    """Back to the system's defaults."""
    name = context.meta["mcis.name"]
    _show(session, session.call(lambda client: client.reset_thresholds(session.ns, name)))


def _show(session: Session, rules: list[Json]) -> None:
    if session.json:
        return print_json({"thresholds": rules})
    rows = [
        (rule["name"], rule["level"], _condition(rule), number(rule["recovery"]), f"{rule['forS']:g} s",
         rule["severity"], ", ".join(rule["channels"]), "yes" if rule["enabled"] else "no")
        for rule in rules
    ]  # fmt: skip
    columns = ("NAME", "LEVEL", "CONDITION", ">RECOVERY", ">FOR", "SEVERITY", "CHANNELS", "ON")
    return print_table(columns, rows, empty="no thresholds")


def _condition(rule: Json) -> str:
    if rule["noDataS"]:
        return f"no data for {rule['noDataS']:g} s"
    over = f"{rule['aggregation']} over {rule['windowS']:g} s of " if rule["windowS"] else ""
    return f"{over}{rule['metric']} {rule['comparison']} {rule['threshold']:g}"


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def channels(context: click.Context) -> None:
    """List, add, delete and test the channels that alarms are told on."""
    if context.invoked_subcommand is None:
        context.invoke(list_channels)


@channels.command("list")
@pass_session
def list_channels(session: Session) -> None:
    """List all channels."""
    found = session.call(lambda client: client.list_of("channels"))
    if session.json:
        return print_json(found)
    rows = [(row["name"], row["scheme"], moment(row["createdAt"])) for row in found]
    return print_table(("NAME", "KIND", "CREATED"), rows, empty="no channels; add one with: mcis channels add NAME")


@channels.command("add")
@click.argument("name")
@pass_session
def add_channel(session: Session, name: str) -> None:
    """Add channel NAME. Its apprise URL is asked for, or read from standard input: it holds secrets."""
    if sys.stdin.isatty():
        url = str(click.prompt("apprise URL", hide_input=True, err=True))
    else:
        url = sys.stdin.readline().strip()
    if not url:
        raise click.UsageError("the channel's URL is expected on standard input")
    made = session.call(lambda client: client.create_channel(name, url))
    if session.json:
        return print_json(made)
    return click.echo(f"channel {name} ({made['scheme']}) is there; try it with: mcis channels test {name}")


@channels.command("delete")
@click.argument("name")
@pass_session
def delete_channel(session: Session, name: str) -> None:
    """Delete channel NAME."""
    session.call(lambda client: client.remove("channels", name))
    click.echo(f"channel {name} is deleted", err=True)


@channels.command("test")
@click.argument("name")
@pass_session
def test_channel(session: Session, name: str) -> None:
    """Send a test message on channel NAME now."""
    session.call(lambda client: client.test_channel(name))
    click.echo(f"the test message on {name} was taken")


COMMANDS: tuple[click.Command, ...] = (alarms, thresholds, channels)
