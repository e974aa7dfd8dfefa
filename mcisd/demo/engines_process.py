"""A server program of somebody else as a child of ours. In: a command. Out: a process that answers, or its log's end.

It works across event loops (a test session starts it, each test has a loop of its own), and it ends with us, whatever
ends us: in order, by ``atexit``, or by the kernel where we are killed.
"""

import asyncio
import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

TAIL_LINES = 15
POLL = 0.05
REMEDY = "run `make engines`"


class EngineError(Exception):
    """An engine is missing, did not start, or did not answer; the message ends with the last lines of its log."""


def cache_folder() -> Path:
    """Where ``make engines`` puts what it fetched and built: ``MCISD_ENGINES_DIR``, else ~/.cache/mcisd/engines."""
    named = os.environ.get("MCISD_ENGINES_DIR")
    return Path(named) if named else Path.home() / ".cache" / "mcisd" / "engines"


class ServerProcess:
    """One server. ``end_signal`` is its polite end, ``death_signal`` what the kernel sends it when we are gone, and
    ``user`` who it runs as where that is not us."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        end_signal: int = signal.SIGTERM,
        death_signal: int = signal.SIGKILL,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [*_with_us(death_signal, user), *command]
        self._environment = {**os.environ, **(environment or {})}
        self._end_signal = end_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._begin = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def said(self) -> str:
        """What it has logged since it was last started."""
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")

    async def start(self, ready: Callable[[], Awaitable[bool]], timeout: float) -> None:
        """Start it and return when ``ready``; EngineError if it ends before, or is not ready in ``timeout`` s."""
        self._begin = self.log.stat().st_size if self.log.is_file() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it must outlive this event loop
                self._command, cwd=self.log.parent, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        _LIVE.add(self)
        end = time.monotonic() + timeout
        try:
            while not await ready():
                if not self.running:
                    raise self.error(f"ended with code {self._process.returncode} while starting")
                if time.monotonic() > end:
                    raise self.error(f"was not ready within {timeout:g} s")
                await asyncio.sleep(POLL)
        except BaseException:
            self.kill()
            raise

    async def stop(self, grace: float = 20.0) -> None:
        """Ask it to end; kill it after ``grace`` seconds."""
        if self._process is not None and self.running:
            self._process.send_signal(self._end_signal)
            end = time.monotonic() + grace
            while self.running and time.monotonic() < end:  # noqa: ASYNC110 - its end rings no bell of this loop
                await asyncio.sleep(POLL)
        self.kill()

    def kill(self) -> None:
        """End it and its children at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # all of them have ended
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        _LIVE.discard(self)

    def error(self, what: str) -> EngineError:
        """The error that says ``what`` went wrong; the log is kept where nobody wipes it."""
        kept = cache_folder() / "failed" / f"{self.name.replace(' ', '-')}-{time.time_ns()}.log"
        kept.parent.mkdir(parents=True, exist_ok=True)
        if self.log.is_file():
            shutil.copyfile(self.log, kept)
        tail = "\n".join(self.said().splitlines()[-TAIL_LINES:])
        return EngineError(f"{self.name} {what}; its log is {kept}, which ends:\n{tail}")


async def run_once(name: str, command: Sequence[str], user: str | None = None, timeout: float = 60.0) -> str:
    """Run a helper program to its end and return what it said; EngineError if it fails."""
    process = await asyncio.create_subprocess_exec(
        *_with_us(signal.SIGKILL, user), *command, cwd="/",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):  # it ended in this moment
            process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise EngineError(f"{name} took longer than {timeout:g} s") from None
        raise
    if process.returncode != 0:
        tail = "\n".join(output.decode(errors="replace").splitlines()[-TAIL_LINES:])
        raise EngineError(f"{name} failed with code {process.returncode}:\n{tail}")
    return output.decode(errors="replace")


def _with_us(death_signal: int, user: str | None) -> list[str]:
    """The words before a command that have the kernel end it when we end, and run it as ``user``."""
    identity = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    return ["setpriv", "--pdeathsig", signal.Signals(death_signal).name.removeprefix("SIG"), *identity]


_LIVE: set[ServerProcess] = set()


@atexit.register
def _end_all() -> None:
    for process in list(_LIVE):
        process.kill()
