"""The local cloud's program, ``python -m mcisd.drivers.local.cloud --home DIR``. In: arguments. Out: a serving cloud.

Without more it serves in the foreground; ``--background`` starts it detached and returns when it answers; ``--stop``
ends it while its VMs go on (they are found again at the next start); ``--stop --terminate-all`` ends them too.
"""

import argparse
import asyncio
import logging
import logging.handlers
import os
import sys
from pathlib import Path

from mcisd.drivers.local import launch
from mcisd.drivers.local.settings import CloudSettings, checked_home, default_home
from mcisd.model.errors import CloudInvalidError

_LOG_BYTES = 2_000_000


def main(argv: list[str] | None = None) -> int:
    """Run the program; the exit status: 0 done, 1 failed, 2 wrong arguments."""
    options = _arguments(argv)
    if sys.platform != "linux":
        print("the local cloud needs Linux (process trees in /proc, loopback addresses 127.x)", file=sys.stderr)
        return 1
    try:
        home = checked_home(options.home)
    except CloudInvalidError as error:
        print(f"{error.message}; {error.remedy}", file=sys.stderr)
        return 2
    if options.stop:
        print(launch.stop(home, terminate=options.terminate_all))
        return 0
    if options.background:
        trouble = launch.start(home, ["--delay-scale", str(options.delay_scale)])
        print(trouble, file=sys.stderr, end="\n" if trouble else "")
        return 1 if trouble else 0
    return _serve(home, CloudSettings().scaled(options.delay_scale))


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mcisd.drivers.local.cloud", description="the local cloud")
    parser.add_argument(
        "--home", type=Path, default=default_home(), help="directory of the cloud (default: %(default)s)"
    )
    parser.add_argument("--background", action="store_true", help="start detached, return when it answers")
    parser.add_argument("--stop", action="store_true", help="stop the cloud that runs in this home")
    parser.add_argument("--terminate-all", action="store_true", help="with --stop: terminate all VMs first")
    parser.add_argument("--delay-scale", type=float, default=1.0, help="make state changes slower (>1) or faster (<1)")
    return parser.parse_args(argv)


def _serve(home: Path, settings: CloudSettings) -> int:
    from mcisd.drivers.local.server import serve  # heavy: only the process that serves pays for it

    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    os.umask(0o077)
    lock = launch.hold_lock(home)
    if lock is None:
        print(f"a cloud is running in {home} already", file=sys.stderr)
        return 0
    os.chdir(home)
    Path("cloud.pid").write_text(f"{os.getpid()}\n")
    _log_to(home / "cloud.log")
    try:
        asyncio.run(serve(home, settings))
    finally:
        Path("cloud.pid").unlink(missing_ok=True)
        os.close(lock)
    return 0


def _log_to(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1)
    logging.basicConfig(
        level=logging.INFO, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("asyncssh").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
