"""The program `mcisd`: reads argv, environment and signals; nothing else in the daemon does."""

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcisd import __version__
from mcisd.aio.loop import run_async
from mcisd.daemon.settings import ROLES, Settings, load_settings
from mcisd.model.errors import McisdError

Bundle = Callable[[], bytes]
OK, FAILED, USAGE = 0, 1, 2


def main(argv: list[str], bundle: Bundle) -> int:
    """Run one command; returns the exit code. ``bundle`` makes the agent's zipapp."""
    options = _parser().parse_args(argv)
    try:
        settings = load_settings(options.config, flags=_flags(options))
        return int(options.work(options, settings, bundle))
    except McisdError as error:
        remedy = f" Remedy: {error.remedy}." if error.remedy else ""
        print(f"mcisd: {error.message}.{remedy}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mcisd", description="The multi-cloud daemon.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"mcisd {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, help="settings file (TOML); default: HOME/mcisd.toml if it is there")
    common.add_argument("--home", type=Path, help="directory of all state (MCISD_HOME)")
    common.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", parents=[common], help="run the daemon", allow_abbrev=False)
    run.add_argument("--host", help="address of the API")
    run.add_argument("--port", type=int, help="port of the API; 0 for a free one")
    run.add_argument("--collector-port", type=int, help="port that agents call; 0 for a free one")
    run.add_argument("--roles", help=f"what this process does, a comma list of {', '.join(ROLES)}; default: all")
    run.add_argument("--name", help="what this process is called; each of an installation has a name of its own")
    run.add_argument("--health-port", type=int, help="port of health and metrics where no API is; 0: a free one")
    run.set_defaults(work=_run)
    health = commands.add_parser("check", parents=[common], help="verify every engine, topic, bucket and migration")
    health.add_argument("--roles", help="check for a process with these roles; default: all of the settings")
    health.set_defaults(work=_check)
    demo = commands.add_parser("demo", help="run the demonstration: 18 VMs, 4 clouds, 10 regions", add_help=False)
    demo.set_defaults(work=None)
    openapi = commands.add_parser("openapi", parents=[common], help="print the OpenAPI document")
    openapi.set_defaults(work=_openapi)
    config = commands.add_parser("config", help="check or show the settings").add_subparsers(required=True, dest="what")
    check = config.add_parser("check", parents=[common], help="say whether the settings are right")
    check.set_defaults(work=_config_check)
    show = config.add_parser("show", parents=[common], help="print the settings in force")
    show.set_defaults(work=_config_show)
    db = commands.add_parser("db", help="the metadata database").add_subparsers(required=True, dest="what")
    upgrade = db.add_parser("upgrade", parents=[common], help="bring the schema to this program's version")
    upgrade.set_defaults(work=_db_upgrade)
    return parser


def _flags(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    if options.home is not None:
        os.environ["MCISD_HOME"] = str(options.home)
    return {
        "log": {"level": options.log_level},
        "node": {
            "name": getattr(options, "name", None),
            "roles": getattr(options, "roles", None),
            "port": getattr(options, "health_port", None),
        },
        "api": {"host": getattr(options, "host", None), "port": getattr(options, "port", None)},
        "collector": {"port": getattr(options, "collector_port", None)},
    }


def _run(options: argparse.Namespace, settings: Settings, bundle: Bundle) -> int:
    logging.basicConfig(
        level=settings.log.level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr
    )
    for noisy in ("asyncssh", "alembic", "aiosqlite"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return run_async(_serve(settings, bundle))


async def _serve(settings: Settings, bundle: Bundle) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        if stop.is_set():
            os._exit(130)  # a second signal: the user does not want to wait
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask_to_stop)
    gc.disable()  # what is loaded now stays: looking through it again and again takes a tenth of the start
    # Imported here: `mcisd openapi` and `mcisd config` need neither stores nor SSH; and after the signals, as it takes
    # the longest part of a start.
    from mcisd.aio.clock import SystemClock
    from mcisd.aio.supervise import Service
    from mcisd.daemon.app import App
    from mcisd.daemon.sdnotify import notify, watchdog

    clock = SystemClock()
    app = App(settings, clock, bundle)
    starting = loop.create_task(app.start())
    stopping = loop.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return OK
    await starting
    gc.enable()
    keeper = Service("watchdog", lambda: watchdog(clock), clock)
    keeper.start()
    notify("READY=1")
    _greet(app)
    await stopping
    notify("STOPPING=1")
    await keeper.stop()
    await app.stop()
    return OK


def _greet(app: Any) -> None:
    door = f"; agents call port {app.collector_port}" if app.collector_port else ""
    if app.context is None:
        node = app.settings.node
        print(f"mcisd {__version__} {node.name} ({', '.join(node.roles)}): health on {app.url}{door}", flush=True)
        return
    print(f"mcisd {__version__} listens on {app.url}{door}", flush=True)
    link = f"{app.url}/login?code={app.context.access.new_link()}"
    print(f"console (opens once, within ten minutes): {link}", flush=True)


def _check(options: argparse.Namespace, settings: Settings, bundle: Bundle) -> int:
    from mcisd.daemon.check import check, show

    logging.disable(logging.CRITICAL)  # what is wrong is in the findings, in our words
    findings = asyncio.run(check(settings))
    show(findings)
    return OK if all(finding.ok for finding in findings) else FAILED


def _openapi(options: argparse.Namespace, settings: Settings, bundle: Bundle) -> int:
    from mcisd.daemon.api.openapi import document

    print(json.dumps(document(__version__), indent=2))
    return OK


def _config_check(options: argparse.Namespace, settings: Settings, bundle: Bundle) -> int:
    print(f"the settings are right; home is {settings.home}")
    return OK


def _config_show(options: argparse.Namespace, settings: Settings, bundle: Bundle) -> int:
    print(json.dumps(json.loads(settings.model_dump_json()), indent=2))
    return OK


def _db_upgrade(options: argparse.Namespace, settings: Settings, bundle: Bundle) -> int:
    from mcisd.daemon.adapters import secret
    from mcisd.store.metadata.upgrade import HEAD, upgrade

    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = secret(settings.store.metadata_password_file, "store.metadata_password_file")
    before = asyncio.run(upgrade(settings.metadata_url, password=password))
    print(f"the database is at {HEAD}" + ("" if before == HEAD else f" (was {before or 'empty'})"))
    return OK
