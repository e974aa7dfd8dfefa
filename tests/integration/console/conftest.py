"""A console to look at and a browser to look with.

``console_url`` is the one-time sign-in link of the daemon with the 18 VMs of the demonstration on the local cloud.
With MCISD_CONSOLE_FAKE set it comes from the development server instead: quicker while working on the page.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.integration.console.real_console import RealConsole

ROOT = Path(__file__).resolve().parents[3]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def console_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A link that signs in once."""
    if os.environ.get("MCISD_CONSOLE_FAKE"):
        yield from fake_console()
        return
    real = RealConsole(tmp_path_factory.mktemp("daemon"))
    try:
        real.build()
        yield real.link
    finally:
        real.close()


def fake_console() -> Iterator[str]:
    """The link of the development server."""
    command = [sys.executable, "-m", "tests.integration.console.fake_server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            link = server.stdout.readline().strip()
            assert link.startswith("http://127.0.0.1:"), "the development server did not start"
            yield link
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    path = shutil.which("chromium")
    assert path, "Chromium is missing; install the Debian package chromium"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, console_url: str) -> Iterator[BrowserContext]:
    """A browser context that used the link."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US", color_scheme="light")
    page = context.new_page()
    page.goto(console_url)
    page.close()
    yield context
    context.close()


class Watched:
    """A page whose complaints and foreign requests are kept."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin = page, origin
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._check(request.url))

    def _check(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.foreign.append(url)


@pytest.fixture
def console(signed_in: BrowserContext, console_url: str) -> Iterator[Watched]:
    """The console at desk width with its 18 VMs drawn; afterwards it must have been quiet and stayed at home."""
    origin = console_url.split("/login")[0]
    watched = Watched(signed_in.new_page(), origin)
    watched.page.goto(origin + "/")
    watched.page.wait_for_selector("#map .vm")
    yield watched
    watched.page.close()
    assert watched.errors == []
    assert watched.foreign == []
