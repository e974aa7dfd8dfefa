"""`mcis policies NAME`: what is done by itself when an alarm fires or a VM fails."""

import click

from mcisd.cli.render import moment, print_json, print_table
from mcisd.cli.session import Group, Json, Session, pass_session
from mcisd.cli.vmspec import read_json


@click.group(cls=Group, invoke_without_command=True)
@click.argument("name")
@click.pass_context
def policies(context: click.Context, name: str) -> None:
    """List, add and delete the policies of MCIS NAME, see what they did: mcis policies NAME add POLICY ..."""
    context.meta["mcis.name"] = name
    if context.invoked_subcommand is None:
        context.invoke(list_policies)


@policies.command("list")
@pass_session
@click.pass_context
def list_policies(context: click.Context, session: Session) -> None:
    """List the policies."""
    name = context.meta["mcis.name"]
    found = session.call(lambda client: client.list_policies(session.ns, name))
    if session.json:
        return print_json(found)
    rows = [
        (row["name"], row["rule"] or "a VM fails", row["action"], row["connConfigName"], row["minimum"], row["maximum"],
         f"{row['cooldownS']:g} s", _mode(row), moment(row["lastRunAt"]))
        for row in found
    ]  # fmt: skip
    return print_table(
        ("NAME", "WHEN", "ACTION", "CONNECTION", ">MIN", ">MAX", ">COOLDOWN", "MODE", "LAST RUN"),
        rows,
        empty=f"{name} has no policies",
    )


def _mode(row: Json) -> str:
    if not row["enabled"]:
        return "off"
    return "dry run" if row["dryRun"] else "on"


@policies.command("add")
@click.argument("policy", required=False)
@click.option("--rule", metavar="THRESHOLD", help="The alarm threshold that triggers it (default: a VM that fails).")
@click.option("--action", type=click.Choice(["scaleOut", "scaleIn", "replace", "command"]), help="What to do.")
@click.option("--connection", metavar="NAME", help="Where to make VMs (default: where the fewest are, elsewhere).")
@click.option("--count", type=click.IntRange(1, 100), help="How many VMs at a time.")
@click.option("--minimum", type=click.IntRange(0), help="Never fewer VMs than this.")
@click.option("--maximum", type=click.IntRange(1), help="Never more VMs than this.")
@click.option("--cooldown", type=float, metavar="SECONDS", help="Least time between two runs.")
@click.option("--command", "shell", metavar="TEXT", help="The command of action command.")
@click.option("--dry-run", is_flag=True, help="Only tell what it would do.")
@click.option("-f", "--file", "path", metavar="FILE", help="The policy as JSON.")
@pass_session
@click.pass_context
def add_policy(
    context: click.Context,
    session: Session,
    /,
    policy: str | None,
    path: str | None,
    dry_run: bool,
    **given: object,
) -> None:
    """Add POLICY."""
    fields = {"connection": "connConfigName", "cooldown": "cooldownS", "shell": "command"}
    body: Json = read_json(path) if path else {}
    body |= {fields.get(key, key): value for key, value in given.items() if value is not None}
    body |= {"name": policy} if policy else {}
    body |= {"dryRun": True} if dry_run else {}
    if "name" not in body or "action" not in body:
        raise click.UsageError("a name and an --action are needed (or -f FILE with both)")
    name = context.meta["mcis.name"]
    made = session.call(lambda client: client.create_policy(session.ns, name, body))
    if session.json:
        return print_json(made)
    return click.echo(f"policy {made['name']} watches {name}")


@policies.command("delete")
@click.argument("policy")
@pass_session
@click.pass_context
def delete_policy(context: click.Context, session: Session, policy: str) -> None:
    """Delete POLICY."""
    name = context.meta["mcis.name"]
    session.call(lambda client: client.delete_policy(session.ns, name, policy))
    click.echo(f"policy {policy} is deleted", err=True)


@policies.command("runs")
@click.argument("policy")
@pass_session
@click.pass_context
def list_runs(context: click.Context, session: Session, policy: str) -> None:
    """Show what POLICY decided, and why."""
    name = context.meta["mcis.name"]
    found = session.call(lambda client: client.list_policy_runs(session.ns, name, policy))
    if session.json:
        return print_json(found)
    rows = [(moment(row["time"]), row["outcome"], row["reason"], row["operation"]) for row in found]
    return print_table(("TIME", "OUTCOME", "REASON", "OPERATION"), rows, empty=f"{policy} has decided nothing yet")


COMMANDS: tuple[click.Command, ...] = (policies,)
