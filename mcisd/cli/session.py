"""What every command shares: global options, a client, exit codes. In: options. Out: calls to the API that end well.

Heavy libraries are imported where they are used, so that ``mcis --help`` is quick.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mcisd.client import Client

T = TypeVar("T")
Json = dict[str, Any]

OK, REFUSED, USAGE, NO_ACCESS, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes: done · the daemon answered with an error · wrong arguments · daemon not reachable or no access ·
the operation ended partial or failed · Ctrl-C."""


@dataclass(slots=True)
class Session:
    """The global options of one call of `mcis`."""

    ns: str = "default"
    output: str = "table"
    url: str | None = None

    @property
    def json(self) -> bool:
        return self.output == "json"

    def call(self, work: "Callable[[Client], Awaitable[T]]") -> T:
        """Run ``work`` with a client of the daemon and return what it returns."""
        return asyncio.run(self._call(work))

    async def _call(self, work: "Callable[[Client], Awaitable[T]]") -> T:
        from mcisd.client import Client

        async with Client.discover(self.url) as client:
            return await work(client)


pass_session = click.make_pass_decorator(Session, ensure=True)


def _keep(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            setattr(context.ensure_object(Session), field, value)

    return callback


def _global_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--ns"],
            metavar="NAME",
            envvar="MCIS_NS",
            expose_value=False,
            callback=_keep("ns"),
            help='Namespace (default: MCIS_NS, else "default").',
        ),
        click.Option(
            ["-o", "--output"],
            type=click.Choice(["table", "json"]),
            expose_value=False,
            callback=_keep("output"),
            help="A table for people (default) or JSON for programs.",
        ),
        click.Option(
            ["--url"],
            metavar="URL",
            expose_value=False,
            callback=_keep("url"),
            help="Address of the daemon (default: MCIS_URL, else what its home says).",
        ),
    ]


class Command(click.Command):
    """A command that takes the global options too, so that their place does not matter."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_global_options())


class Group(click.Group):
    """A group whose commands take the global options; those of them that need no command say so themselves."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_global_options())
