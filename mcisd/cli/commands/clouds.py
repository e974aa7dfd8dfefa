"""`mcis connections` and `mcis ns`: what clouds there are, and where names live."""

from typing import TYPE_CHECKING

import click

from mcisd.cli.keys import ask
from mcisd.cli.render import moment, number, print_json, print_table
from mcisd.cli.session import OK, REFUSED, Group, Json, Session, pass_session
from mcisd.cli.vmspec import pairs, read_json

if TYPE_CHECKING:
    from mcisd.client import Client


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def connections(context: click.Context) -> None:
    """List, create, check and delete connections (driver x credential x region)."""
    if context.invoked_subcommand is None:
        context.invoke(list_connections)


@connections.command("list")
@pass_session
def list_connections(session: Session) -> None:
    """List all connections."""
    found = session.call(lambda client: client.list_of("connections"))
    if session.json:
        return print_json(found)
    rows = [
        (row["connConfigName"], row["providerName"], row["region"], row["driverName"], row["credentialName"],
         moment(row["checkedAt"]), _verdict(row))
        for row in found
    ]  # fmt: skip
    return print_table(
        ("NAME", "PROVIDER", "REGION", "DRIVER", "CREDENTIAL", "CHECKED", "STATE"),
        rows,
        empty="no connections; create one with: mcis connections create --help",
    )


def _verdict(row: Json) -> str:
    if not row["checkedAt"]:
        return ""
    return row["checkError"] or "ok"


@connections.command("create")
@click.argument("name")
@click.option("--driver", metavar="DRIVER", help="Driver, such as local or aws; see `mcis drivers`.")
@click.option("--region", metavar="REGION", help="Region as the cloud calls it, such as us-east-1.")
@click.option("--zone", metavar="ZONE", help="Zone of the region (default: the cloud chooses).")
@click.option(
    "--credential",
    "credentials",
    multiple=True,
    metavar="KEY=VALUE",
    help="One key of the credential; a VALUE of - is asked for (or read from standard input), so that a secret never "
    "stands on the command line. Or KEY alone: the name of a credential registered already.",
)
@click.option("--info", "infos", multiple=True, metavar="KEY=VALUE", help="Further key of the region information.")
@click.option("--location", metavar="LAT,LON", help="Where the region is, in degrees, for the map.")
@click.option("-f", "--file", "path", metavar="FILE", help="All of it as JSON: driver, region, zone, credential, info.")
@pass_session
def create_connection(
    session: Session,
    name: str,
    driver: str | None,
    region: str | None,
    zone: str | None,
    credentials: tuple[str, ...],
    infos: tuple[str, ...],
    location: str | None,
    path: str | None,
) -> int:
    """Create connection NAME, registering credential and region on the way, and check it.

    Credential and region bear the name of the connection.
    """
    given: Json = read_json(path) if path else {}
    driver, region = driver or given.get("driver"), region or given.get("region")
    if not driver or not region:
        raise click.UsageError("--driver and --region are needed (or driver and region in the file)")
    known = credentials[0] if len(credentials) == 1 and "=" not in credentials[0] else given.get("useCredential", "")
    values = dict(given.get("credential", {})) | ({} if known else pairs(credentials, "--credential"))
    info = {"Region": region} | dict(given.get("info", {})) | pairs(infos, "--info")
    if zone or given.get("zone"):
        info["Zone"] = zone or str(given["zone"])
    request = {"driver": driver, "known": known, "values": _ask(values), "info": info}
    request["location"] = _location(location) or given.get("location")
    return session.call(lambda client: _create(session, client, name, request))


def _ask(values: dict[str, str]) -> dict[str, str]:
    """The values with every ``-`` replaced by what the user types, or by a line of standard input."""
    return {key: ask(key, f"--credential {key}=-") if value == "-" else value for key, value in values.items()}


def _location(text: str | None) -> Json | None:
    if not text:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"--location {text!r} is not LAT,LON, for example 37.57,126.98") from None
    return {"latitude": latitude, "longitude": longitude}


async def _create(session: Session, client: "Client", name: str, request: Json) -> int:
    """Register what is missing, in order; if a step fails, what the earlier ones made is taken back."""
    from mcisd.client import ApiError

    drivers = {row["driverName"]: row["providerName"] for row in await client.list_of("drivers")}
    made: list[tuple[str, str]] = []
    try:
        if request["driver"] not in drivers:
            registered = await client.register_driver(request["driver"], request["driver"])
            drivers[request["driver"]] = registered["providerName"]
            made.append(("drivers", request["driver"]))
        provider = drivers[request["driver"]]
        credential = request["known"] or name
        if not request["known"]:
            await client.register_credential(name, provider, request["values"])
            made.append(("credentials", name))
        await client.register_region(name, provider, request["info"], request["location"])
        made.append(("regions", name))
        connection = await client.create_connection(name, request["driver"], credential, name)
    except ApiError:
        for kind, row in reversed(made):
            await client.remove(kind, row)
        raise
    return await _check(session, client, name, connection)


async def _check(session: Session, client: "Client", name: str, connection: Json | None = None) -> int:
    result = await client.check_connection(name)
    if session.json:
        print_json({"connection": connection, "check": result} if connection else result)
    elif result["ok"]:
        click.echo(f"connection {name} works ({number(result['elapsedMs'], 0)} ms)")
    else:
        click.echo(f"connection {name} does not work: {trouble(result)}")
    return OK if result["ok"] else REFUSED


def trouble(result: Json) -> str:
    """What is wrong, with what, and how to mend it, in one line."""
    text = str(result["error"]) + (f" (field {result['field']})" if result.get("field") else "")
    return f"{text.rstrip('.')}. Remedy: {result['remedy']}" if result.get("remedy") else text


@connections.command("check")
@click.argument("name")
@pass_session
def check_connection(session: Session, name: str) -> int:
    """Prove that connection NAME works, by asking its cloud."""
    return session.call(lambda client: _check(session, client, name))


@connections.command("delete")
@click.argument("name")
@click.option("--with-parts", is_flag=True, help="Also delete its credential and region if they bear its name.")
@pass_session
def delete_connection(session: Session, name: str, with_parts: bool) -> None:
    """Delete connection NAME."""

    async def work(client: "Client") -> None:
        connection = await client.one("connections", name)
        await client.remove("connections", name)
        for kind, field in (("credentials", "credentialName"), ("regions", "regionName")):
            if with_parts and connection[field] == name:
                await client.remove(kind, name)

    session.call(work)
    click.echo(f"connection {name} is deleted", err=True)


@click.group("ns", cls=Group, invoke_without_command=True)
@click.pass_context
def namespaces(context: click.Context) -> None:
    """List, create and delete namespaces."""
    if context.invoked_subcommand is None:
        context.invoke(list_namespaces)


@namespaces.command("list")
@pass_session
def list_namespaces(session: Session) -> None:
    """List all namespaces."""
    found = session.call(lambda client: client.list_of("ns"))
    if session.json:
        return print_json(found)
    rows = [(row["name"], row["description"], moment(row["createdAt"])) for row in found]
    return print_table(("NAME", "DESCRIPTION", "CREATED"), rows, empty="no namespaces; create one: mcis ns create NAME")


@namespaces.command("create")
@click.argument("name")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@pass_session
def create_namespace(session: Session, name: str, description: str) -> None:
    """Create namespace NAME."""
    made = session.call(lambda client: client.create_namespace(name, description))
    if session.json:
        return print_json(made)
    return click.echo(f"namespace {name} is there")


@namespaces.command("delete")
@click.argument("name")
@pass_session
def delete_namespace(session: Session, name: str) -> None:
    """Delete namespace NAME; it must be empty."""
    session.call(lambda client: client.remove("ns", name))
    click.echo(f"namespace {name} is deleted", err=True)


COMMANDS: tuple[click.Command, ...] = (connections, namespaces)
