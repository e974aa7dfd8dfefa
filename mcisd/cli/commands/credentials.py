"""`mcis drivers` and `mcis credentials`: what clouds can be reached, and with whose keys."""

from pathlib import Path

import click

from mcisd.cli import keys
from mcisd.cli.render import moment, print_json, print_table
from mcisd.cli.session import Group, Json, Session, pass_session


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def drivers(context: click.Context) -> None:
    """List drivers: kinds of clouds, what they can do, what their credentials hold."""
    if context.invoked_subcommand is None:
        context.invoke(list_drivers)


@drivers.command("list")
@pass_session
def list_drivers(session: Session) -> None:
    """List all drivers. Of the credential's keys those with a * must be given."""
    found = session.call(lambda client: client.list_of("drivers"))
    if session.json:
        return print_json(found)
    rows = [
        (row["driverName"], row["providerName"], row["version"], _can(row),
         " ".join(f"{key}*" if needed else key for key, needed in row["credentialKeys"].items()))
        for row in found
    ]  # fmt: skip
    return print_table(("DRIVER", "PROVIDER", "VERSION", "CAN", "CREDENTIAL KEYS"), rows, empty="no drivers")


def _can(row: Json) -> str:
    """The capabilities it has; or why it cannot be used."""
    if row["error"]:
        return f"cannot be used: {row['error']}"
    return " ".join(name for name, there in row["capability"].items() if there)


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def credentials(context: click.Context) -> None:
    """List, add and delete credentials of clouds."""
    if context.invoked_subcommand is None:
        context.invoke(list_credentials)


@credentials.command("list")
@pass_session
def list_credentials(session: Session) -> None:
    """List all credentials; their values never come out again."""
    found = session.call(lambda client: client.list_of("credentials"))
    if session.json:
        return print_json(found)
    rows = [
        (row["credentialName"], row["providerName"], " ".join(row["keys"]), moment(row["createdAt"])) for row in found
    ]
    return print_table(
        ("NAME", "PROVIDER", "KEYS", "CREATED"), rows, empty="no credentials; add one with: mcis credentials add --help"
    )


@credentials.command("add")
@click.argument("name")
@click.option("--provider", required=True, metavar="PROVIDER", help="Whose it is, such as aws; see `mcis drivers`.")
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE", help="A key that is no secret.")
@click.option("--set-file", "files", multiple=True, metavar="KEY=PATH", help="A key that is the content of a file.")
@click.option("--set-env", "variables", multiple=True, metavar="KEY=VARIABLE", help="A key from the environment.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="KEY", help="A key that is asked for (or a line of standard input)."
)
@click.option("--file", "path", metavar="PATH", help="The key file as the cloud gives it out: aws, azure, gcp.")
@click.option("--profile", metavar="NAME", help="Profile of the daemon's own AWS configuration.")
@click.option("--clouds-yaml", metavar="PATH", help="OpenStack's clouds.yaml, which the daemon reads.")
@click.option("--cloud", metavar="NAME", help="Which cloud of it.")
@pass_session
def add_credential(
    session: Session,
    name: str,
    provider: str,
    values: tuple[str, ...],
    files: tuple[str, ...],
    variables: tuple[str, ...],
    secrets: tuple[str, ...],
    path: str | None,
    profile: str | None,
    clouds_yaml: str | None,
    cloud: str | None,
) -> None:
    """Register credential NAME. Secrets never stand on the command line: they come from a file, the environment, or
    are asked for.

    \b
    Examples:  mcis credentials add work --provider aws --profile work
               mcis credentials add work --provider aws --set access_key_id=AKIA… --secret secret_access_key
               mcis credentials add work --provider gcp --file key.json
               mcis credentials add work --provider azure --file principal.json --set subscription_id=…
               mcis credentials add work --provider openstack --clouds-yaml ~/clouds.yaml --cloud work
    """
    found = keys.key_file(provider, path) if path else {}
    found |= {"profile": profile} if profile else {}
    found |= {"clouds_yaml": str(Path(clouds_yaml).expanduser().absolute())} if clouds_yaml else {}
    found |= {"cloud": cloud} if cloud else {}
    found |= keys.plain(values) | keys.from_files(files) | keys.from_environment(variables)
    found |= keys.asked(secrets, "--secret")
    made = session.call(lambda client: client.register_credential(name, provider, found))
    if session.json:
        return print_json(made)
    return click.echo(f"credential {name} is there; use it with: mcis connections create … --credential {name}")


@credentials.command("delete")
@click.argument("name")
@pass_session
def delete_credential(session: Session, name: str) -> None:
    """Forget credential NAME; no connection may use it."""
    session.call(lambda client: client.remove("credentials", name))
    click.echo(f"credential {name} is deleted", err=True)


COMMANDS: tuple[click.Command, ...] = (drivers, credentials)
