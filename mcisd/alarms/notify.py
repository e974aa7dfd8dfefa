"""apprise behind the Notifier port: a channel's URL and a message go in; delivered, or a DeliveryError comes out.

apprise is loaded when there is a channel to send on: with its plugins it takes a second and some 50 MB.
It blocks, so it runs in a few threads of its own, each call bounded in time. Its log lines can hold parts of a
URL, so they go nowhere; only the HTTP status in them is read. It does not pass on a receiver's Retry-After.
"""

import asyncio
import contextvars
import importlib
import logging
import re
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from mcisd.model.errors import DeliveryError

_STATUS = re.compile(r"error=(\d{3})")
_TYPES = {"firing": "failure", "resolved": "success", "test": "info"}
_loading = threading.Lock()
_lines: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("alarm_delivery_log", default=None)


def scheme(url: str) -> str:
    """The part of a channel's URL that may be shown: ``slack``."""
    head, found, _ = url.partition("://")
    return head.lower() if found and head.isalnum() else "unknown"


def mask(url: str) -> str:
    """The URL for people's eyes. Host and path of an apprise URL can be tokens, so nothing but the scheme is left."""
    return f"{scheme(url)}://***"


def usable(url: str) -> bool:
    """apprise knows the scheme and finds in the URL what it needs; says nothing about the receiver. May block 1 s."""
    return _apprise().Apprise.instantiate(url) is not None


class AppriseNotifier:
    """Delivers through apprise. ``timeout`` bounds a call in seconds, ``workers`` how many run at a time.

    A call given up after ``timeout`` may still arrive: its thread cannot be stopped, and keeps its place until it ends.
    """

    def __init__(self, workers: int = 4, timeout: float = 20.0) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="alarm-notify")
        self._timeout = timeout

    async def send(self, url: str, title: str, body: str, kind: str) -> None:
        """Deliver or raise DeliveryError: final for an unusable URL, retriable for all that a receiver may mend."""
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, _deliver, url, title, body, kind)
        try:
            problem = await asyncio.wait_for(work, self._timeout)
        except TimeoutError:
            raise DeliveryError(f"{mask(url)} did not answer within {self._timeout:g} s", retriable=True) from None
        if problem:
            raise DeliveryError(f"{mask(url)}: {problem}", retriable=True)

    async def prepare(self) -> None:
        """Load apprise now, so that the first message does not wait for it."""
        await asyncio.get_running_loop().run_in_executor(self._pool, _apprise)

    async def close(self) -> None:
        """Take no more messages; calls under way are left to their own socket timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _deliver(url: str, title: str, body: str, kind: str) -> str:
    """Blocking: deliver one message; an empty string, or what was wrong."""
    apprise = _apprise()
    target = apprise.Apprise.instantiate(url)
    if target is None:
        raise DeliveryError(f"{mask(url)} is not a usable channel: check its URL", retriable=False)
    sender = apprise.Apprise()
    sender.add(target)
    lines: list[str] = []
    token = _lines.set(lines)
    try:
        done = sender.notify(body=body, title=title, notify_type=_TYPES[kind], body_format="text")
    finally:
        _lines.reset(token)
    if done:
        return ""
    status = next((found[1] for line in reversed(lines) if (found := _STATUS.search(line))), "")
    return f"the receiver answered {status}" if status else "the receiver cannot be reached or refused the message"


class _Catch(logging.Handler):
    """Keeps apprise's lines for the call that caused them, and from everybody else."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = _lines.get()
        if lines is not None:
            lines.append(record.getMessage())


def _apprise() -> ModuleType:
    """apprise with its plugins loaded and its log caught."""
    with _loading:
        if "apprise" in sys.modules and _is_quiet():
            return sys.modules["apprise"]
        _be_quiet()
        with warnings.catch_warnings():
            # Its mail plugin imports a module of the standard library that Python 3.13 drops; it copes there.
            warnings.simplefilter("ignore", DeprecationWarning)
            apprise = importlib.import_module("apprise")
            apprise.Apprise.instantiate("json://127.0.0.1")
        return apprise


def _is_quiet() -> bool:
    return any(isinstance(handler, _Catch) for handler in logging.getLogger("apprise").handlers)


def _be_quiet() -> None:
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.handlers[:] = [_Catch()]
    # The HTTP client beneath it logs each request with its path, and paths hold tokens.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
