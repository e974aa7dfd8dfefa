"""`mcisd demo`: start everything, tell the story, stop everything. In: arguments. Out: exit code 0 only if all held."""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mcisd.client import ApiError, Client
from mcisd.demo import hypervisor_show, scene_alarm, scene_kill, scene_launch, scene_life, scene_takeover, scene_web
from mcisd.demo.cloud import CloudSide
from mcisd.demo.ports import free_port
from mcisd.demo.process import DaemonProcess
from mcisd.demo.receivers import FIRING, RESOLVED, MailServer, Webhook
from mcisd.demo.scaled import PROCESSES, ScaledDaemon
from mcisd.demo.show import Daemon, Show
from mcisd.demo.telling import StepFailedError, Teller
from mcisd.demo.watching import EventWatch
from mcisd.demo.world import CLOUDS, PLACES, TOTAL, WEB_PORT

OK, FAILED, INTERRUPTED = 0, 1, 130
PATIENCE = 20.0
MAX_HOME = 60
"""Longest path of a home in bytes: the sockets below it must stay within what the system allows."""
INTRO = f"""mcisd: {TOTAL} hosts in {len(CLOUDS)} clouds and {len(PLACES)} regions as one MCIS.
The clouds are the driver "local": each VM is a real host as far as SSH and processes go, on this machine;
regions, names and coordinates are true, distances are not. Agents, alarms, messages and restarts are real."""


@dataclass(frozen=True, slots=True)
class Options:
    """``home`` None: a fresh one, removed at the end if all went well. ``leave``: end after the last step. ``scale``:
    every role in processes of its own, on real engines. ``libvirt``: the private cloud's story on a real hypervisor."""

    home: Path | None = None
    leave: bool = False
    figures: Path | None = None
    scale: bool = False
    libvirt: bool = False


def main(argv: list[str]) -> int:
    """Run the demonstration; the exit code."""
    options = _parse(argv)
    if sys.platform != "linux":
        print("mcisd demo: the local cloud needs Linux", file=sys.stderr)
        return FAILED
    if options.libvirt and (lacking := hypervisor_show.missing()):
        print(f"mcisd demo --libvirt: {lacking}", file=sys.stderr)
        return FAILED
    return asyncio.run(run_demo(options))


def _parse(argv: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="mcisd demo", description="The whole loop on one machine, step by step.")
    parser.add_argument("--exit", action="store_true", help="end after the last step; 0 only if every step held")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--scale", action="store_true", help="every role in processes of its own, on Kafka, InfluxDB and PostgreSQL"
    )
    kind.add_argument("--libvirt", action="store_true", help="another story: a real VM on a real hypervisor (as root)")
    parser.add_argument("--home", type=Path, help="an empty directory for all state; it is kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times there")
    found = parser.parse_args(argv)
    if found.home is not None and found.home.exists() and any(found.home.iterdir()):
        parser.error(f"{found.home} is not empty")
    return Options(found.home, found.exit, found.json, found.scale, found.libvirt)


async def run_demo(options: Options) -> int:
    """The demonstration from a bare machine back to a bare machine.

    Ctrl-C and SIGTERM end the story at any moment; what it started is always taken down, which no signal interrupts.
    """
    home = _make_home(options.home)
    tell = Teller()
    tell.say(hypervisor_show.INTRO if options.libvirt else INTRO)
    code = FAILED
    try:
        async with AsyncExitStack() as stack:
            story = asyncio.ensure_future(_perform(options, home, tell, stack))
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, story.cancel)
            try:
                code = OK if await story else FAILED
            except asyncio.CancelledError:
                code = INTERRUPTED
            tell.say("\nstopping …")
    finally:
        if code == OK and options.home is None:
            shutil.rmtree(home, ignore_errors=True)
        else:
            tell.say(f"state and logs are kept in {home}")
    return code


def _make_home(wanted: Path | None) -> Path:
    home = wanted.absolute() if wanted else Path(tempfile.mkdtemp(prefix="mcisd-demo-"))
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if len(str(home).encode()) > MAX_HOME:
        home.rmdir()
        raise SystemExit(f"mcisd demo: the path {home} is too long for sockets. Remedy: set TMPDIR or --home to /tmp/x")
    return home


async def _perform(options: Options, home: Path, tell: Teller, stack: AsyncExitStack) -> bool:
    """Start, tell, and (unless asked to leave) stay up; True if every step held."""
    daemon: Daemon = ScaledDaemon(home) if options.scale else DaemonProcess(home)
    try:
        if options.libvirt:
            hypervisor, daemon = await hypervisor_show.prepare(home, tell, stack)
            show = await _set_up(daemon, CloudSide(daemon.cloud_home), tell, stack)
            await hypervisor_show.story(show, hypervisor)
        else:
            show = await _set_up(daemon, CloudSide(daemon.cloud_home), tell, stack)
            await _story(show)
    except (StepFailedError, ApiError) as error:
        tell.say(f"\nFAILED: {error}")
        tell.say(f"the daemon's log: {daemon.log}")
        return False
    tell.table()
    if options.figures is not None:
        options.figures.write_text(json.dumps(tell.document(), indent=1) + "\n")
    tell.say(f"\nall {len(tell.steps)} steps held.")
    if not options.leave:
        await _stay_up(show)
    return True


async def _set_up(daemon: Daemon, cloud: CloudSide, tell: Teller, stack: AsyncExitStack) -> Show:
    """Start receivers and daemon; each one's end is registered before its start."""
    webhook, mail = Webhook(), MailServer()
    tell.part("Set-up")
    what = f"engines and {len(PROCESSES)} processes started" if isinstance(daemon, ScaledDaemon) else "daemon started"
    with tell.step("start", what):
        stack.push_async_callback(cloud.stop)
        stack.push_async_callback(daemon.stop)
        stack.push_async_callback(mail.close)
        stack.push_async_callback(webhook.close)
        await webhook.start()
        await mail.start()
        await daemon.start()
        client = await stack.enter_async_context(
            Client.discover(daemon.url, daemon.home, patience=PATIENCE, environment={})
        )
        await client.ready()
    events = EventWatch(client)
    watching = asyncio.ensure_future(events.run())
    stack.push_async_callback(_end, watching)
    tell.say(f"  console (opens once): {await client.console_link()}")
    return Show(tell, daemon, cloud, client, events, webhook, mail, free_port("0.0.0.0", WEB_PORT))  # noqa: S104 - only asked whether it is free


async def _end(task: asyncio.Future[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ApiError):  # a daemon that is gone already is no news here
        await task


async def _story(show: Show) -> None:
    """The story, in order."""
    show.tell.part("Launch")
    await scene_launch.connect(show)
    await scene_launch.launch(show)
    await scene_web.serve_pages(show)
    show.tell.part("Alarm and policy")
    await scene_alarm.prepare(show)
    await scene_alarm.load(show)
    await scene_alarm.relax(show)
    show.tell.part("Life cycle and faults")
    await scene_life.control(show)
    await scene_life.lose_one(show)
    if isinstance(show.daemon, ScaledDaemon):
        await scene_takeover.take_over(show, show.daemon)
    await scene_kill.kill_daemon(show)
    show.tell.part("Take down")
    await scene_kill.take_down(show)
    with show.tell.step("once", "each receiver got one firing and one resolved message in all"):
        scene_alarm.counts(show, FIRING, 1)
        scene_alarm.counts(show, RESOLVED, 1)


async def _stay_up(show: Show) -> None:
    """Keep the console open until Ctrl-C, which is a good end here."""
    show.tell.say(f"\nthe console stays up until Ctrl-C; this link opens it once: {await show.client.console_link()}")
    with contextlib.suppress(asyncio.CancelledError):  # the signal that was waited for
        await asyncio.Event().wait()
