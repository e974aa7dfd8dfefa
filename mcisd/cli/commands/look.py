"""`mcis status, top, events`: looking on. In: status, live samples, events. Out: tables and lines that follow them."""

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from mcisd.cli.live import COLUMNS, LiveTable
from mcisd.cli.render import console, moment, print_json, print_line, print_table, printable
from mcisd.cli.session import Command, Json, Session, pass_session

if TYPE_CHECKING:
    from rich.live import Live

    from mcisd.client import Client


@click.command("status", cls=Command)
@click.argument("name")
@click.option("--watch", is_flag=True, help="Go on and print every change, until Ctrl-C.")
@pass_session
def status(session: Session, name: str, watch: bool) -> None:
    """Show the state of MCIS NAME and of each of its VMs."""
    if watch:
        return session.call(lambda client: _watch(session, client, name))
    one = session.call(lambda client: client.get_infra(session.ns, name))
    if session.json:
        keep = ("name", "state", "goal", "agent", "error")
        vms = [{key: vm[key] for key in keep} for vm in one["vms"]]
        return print_json({"name": one["name"], "status": one["status"], "counts": one["counts"], "vms": vms})
    click.echo(one["status"])
    rows = [(vm["name"], vm["state"], vm["agent"], vm["region"], vm["error"]) for vm in one["vms"]]
    return print_table(("VM", "STATE", "AGENT", "REGION", "ERROR"), rows, empty="no VMs")


async def _watch(session: Session, client: "Client", name: str) -> None:
    shown = ""
    while True:
        now = await client.status(session.ns, name)
        text = f"{now['status']}, agents {now['agentsUp']}"
        if text != shown:
            if session.json:
                print_line(now)
            else:
                click.echo(f"{time.strftime('%H:%M:%S')}  {text}")
            shown = text
        await asyncio.sleep(0.5)


@click.command("top", cls=Command)
@click.argument("name")
@click.option("--once", is_flag=True, help="Show one sample of every VM and end.")
@click.option("--for", "seconds", type=float, metavar="SECONDS", help="End after this time.")
@pass_session
def top(session: Session, name: str, once: bool, seconds: float | None) -> None:
    """Show CPU, memory, load and network of every VM of MCIS NAME, live."""
    session.call(lambda client: _top(session, client, name, once=once, seconds=seconds))


async def _top(session: Session, client: "Client", name: str, *, once: bool, seconds: float | None) -> None:
    one = await client.get_infra(session.ns, name)
    view = LiveTable(name, one["vms"])
    # A VM that is silent must not hold up the others: one look lasts no longer than a few ticks.
    limit = seconds if seconds is not None else 8.0 if once else None
    screen = _screen(view) if not once and not session.json else None
    try:
        async with asyncio.timeout(limit), aclosing(client.live(session.ns, name, COLUMNS)) as samples:
            async for sample in samples:
                view.take(sample)
                if screen is not None:
                    screen.update(view.table())
                elif session.json and not once:
                    print_line(sample)
                if once and view.complete:
                    break
    except TimeoutError:
        pass  # the time asked for is over
    finally:
        if screen is not None:
            screen.stop()
    if once and session.json:
        print_json(view.samples)
    elif once:
        console().print(view.table())


def _screen(view: LiveTable) -> "Live":
    from rich.live import Live

    screen = Live(view.table(), console=console(), refresh_per_second=2)
    screen.start()
    return screen


@click.command("events", cls=Command)
@click.option("-f", "--follow", is_flag=True, help="Go on and print events as they happen, until Ctrl-C.")
@click.option("--infra", metavar="NAME", help="Only those of this MCIS.")
@click.option("--type", "kind", default="", metavar="TYPE", help="Only types that begin so, such as alarm.")
@click.option("-n", "--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@click.option("--after", type=int, metavar="SEQUENCE", help="Begin after this event.")
@pass_session
def events(session: Session, follow: bool, infra: str | None, kind: str, limit: int, after: int | None) -> None:
    """Show what happened: provisioning, life cycle, agents, alarms, policies."""
    subject = f"ns/{session.ns}/infra/{infra}" if infra else ""
    if follow:
        return session.call(lambda client: _follow(session, client, after, subject, kind))
    found = session.call(lambda client: client.list_events(after, limit, subject, kind))
    if session.json:
        return print_json(found)
    for event in found:
        _print_event(event)
    return None


async def _follow(session: Session, client: "Client", after: int | None, subject: str, kind: str) -> None:
    async with aclosing(client.events(after, subject, kind)) as stream:
        async for event in stream:
            if session.json:
                print_line(event)
            else:
                _print_event(event)


def _print_event(event: Json) -> None:
    text = printable(str(event["data"].get("text", "")))
    click.echo(f"{_local(event['time'])}  {event['type']:<20} {text or event['subject']}")


def _local(text: str) -> str:
    from datetime import datetime

    return moment(datetime.fromisoformat(text).timestamp())


COMMANDS: tuple[click.Command, ...] = (status, top, events)
