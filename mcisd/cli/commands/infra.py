"""`mcis create, expand, list, show, delete`: what an MCIS is made of."""

from typing import TYPE_CHECKING

import click

from mcisd.cli.follow import finish
from mcisd.cli.render import moment, print_json, print_table
from mcisd.cli.session import Command, Json, Session, pass_session
from mcisd.cli.vmspec import FORM, pairs, read_json, vm_groups

if TYPE_CHECKING:
    from mcisd.client import Client

_vm_option = click.option(
    "--vm",
    "groups",
    callback=vm_groups,
    metavar=FORM,
    multiple=True,
    help="A group of equal VMs; may be given many times. Example: --vm web:3@aws-us-east-1",
)
_no_wait_option = click.option("--no-wait", is_flag=True, help="Return at once; the operation goes on.")


@click.command("create", cls=Command)
@click.argument("name", required=False)
@_vm_option
@click.option("-f", "--file", "path", metavar="FILE", help="The request as JSON (- for standard input).")
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label.")
@click.option(
    "--on-failure",
    type=click.Choice(["keep", "retry", "rollback"]),
    help="When some VMs cannot be made: keep what is there (default), retry, or roll all back.",
)
@_no_wait_option
@pass_session
def create(
    session: Session,
    name: str | None,
    groups: tuple[Json, ...],
    path: str | None,
    description: str | None,
    labels: tuple[str, ...],
    on_failure: str | None,
    no_wait: bool,
) -> int:
    """Create MCIS NAME and wait until its VMs run.

    Image, spec, network, security group and key are made automatically where they are left out.
    """
    request: Json = read_json(path) if path else {}
    given = {"name": name, "description": description, "onFailure": on_failure, "labels": pairs(labels, "--label")}
    request |= {key: value for key, value in given.items() if value}
    request["vmRequestList"] = [*request.get("vmRequestList", []), *groups]
    if not request.get("name") or not request["vmRequestList"]:
        raise click.UsageError("a NAME and at least one --vm (or -f FILE with both) are needed")

    async def work(client: "Client") -> int:
        return await finish(session, client, await client.create_infra(session.ns, request), wait=not no_wait)

    return session.call(work)


@click.command("expand", cls=Command)
@click.argument("name")
@_vm_option
@_no_wait_option
@pass_session
def expand(session: Session, name: str, groups: tuple[Json, ...], no_wait: bool) -> int:
    """Add VMs to MCIS NAME."""
    if not groups:
        raise click.UsageError("at least one --vm is needed")

    async def work(client: "Client") -> int:
        operation = await client.expand_infra(session.ns, name, list(groups))
        return await finish(session, client, operation, wait=not no_wait)

    return session.call(work)


@click.command("list", cls=Command)
@click.option("-a", "--all", "everywhere", is_flag=True, help="Of all namespaces.")
@pass_session
def list_infra(session: Session, everywhere: bool) -> None:
    """List the MCIS of the namespace."""
    found = session.call(lambda client: client.list_of("infra") if everywhere else client.list_infra(session.ns))
    if session.json:
        return print_json(found)
    rows = [
        (one["nameSpace"], one["name"], one["status"], len(one["vms"]), len({vm["region"] for vm in one["vms"]}),
         _price(one["pricePerHour"]), moment(one["createdAt"]))
        for one in found
    ]  # fmt: skip
    return print_table(
        ("NS", "NAME", "STATUS", ">VMS", ">REGIONS", ">USD/H", "CREATED"),
        rows,
        empty=f"no MCIS in namespace {session.ns}; create one with: mcis create --help",
    )


@click.command("show", cls=Command)
@click.argument("name")
@pass_session
def show(session: Session, name: str) -> None:
    """Show MCIS NAME with all its VMs."""
    one = session.call(lambda client: client.get_infra(session.ns, name))
    if session.json:
        return print_json(one)
    click.echo(f"{one['nameSpace']}/{one['name']}  {one['status']}  {_price(one['pricePerHour'])} USD/h")
    rows = [
        (vm["name"], vm["state"], vm["agent"], vm["providerName"], vm["region"], vm["zone"], vm["publicAddress"],
         vm["vcpus"], vm["memoryMib"], vm["error"])
        for vm in one["vms"]
    ]  # fmt: skip
    columns = ("VM", "STATE", "AGENT", "PROVIDER", "REGION", "ZONE", "ADDRESS", ">VCPU", ">MIB", "ERROR")
    return print_table(columns, rows, empty="no VMs")


@click.command("delete", cls=Command)
@click.argument("name")
@click.option("--vm", metavar="VM", help="Only this VM of it.")
@pass_session
def delete(session: Session, name: str, vm: str | None) -> None:
    """Delete MCIS NAME; all its VMs must be Terminated or Failed."""
    if vm:
        session.call(lambda client: client.delete_vm(session.ns, name, vm))
    else:
        session.call(lambda client: client.delete_infra(session.ns, name))
    click.echo(f"{name}{'/' + vm if vm else ''} is deleted", err=True)


def _price(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


COMMANDS: tuple[click.Command, ...] = (create, expand, list_infra, show, delete)
