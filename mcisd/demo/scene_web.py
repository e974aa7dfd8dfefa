"""Scene 2: a web server on all VMs by one remote command; each page is opened and must bear its VM's name."""

import asyncio

import aiohttp

from mcisd.demo.show import Show
from mcisd.demo.telling import StepFailedError, expect
from mcisd.demo.world import INFRA, NS, TOTAL

TIMEOUT = aiohttp.ClientTimeout(total=2.0)
PAGE = "<h1>{name}</h1>"
SERVE = """
mkdir -p www && printf '<!doctype html><title>%s</title><h1>%s</h1>\\n' "$MCIS_NAME" "$MCIS_VM" > www/index.html
nohup python3 -m http.server {port} --bind "$MCIS_ADDRESS" --directory www > web.log 2>&1 < /dev/null &
"""


async def serve_pages(show: Show) -> None:
    """Start the servers and open all pages."""
    with show.tell.step("web", f"a web server started on {TOTAL} VMs by one remote command"):
        results = await show.client.command(NS, INFRA, SERVE.format(port=show.web_port))
        bad = [result for result in results if result["exitStatus"] != 0]
        expect(len(results) == TOTAL and not bad, f"{TOTAL} commands to end with 0", bad or len(results))
    show.pages = {vm["name"]: f"http://{vm['publicAddress']}:{show.web_port}/" for vm in await show.vms()}
    with show.tell.step("pages", f"{TOTAL} pages opened, each bears the name of its VM"):
        await open_pages(show, 20.0)


async def open_pages(show: Show, timeout: float) -> None:
    """Open every page; StepFailedError unless each answers its own content in time."""
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        await asyncio.gather(*(_open(session, name, url, timeout) for name, url in show.pages.items()))


async def _open(session: aiohttp.ClientSession, name: str, url: str, timeout: float) -> None:
    loop = asyncio.get_running_loop()
    end, seen = loop.time() + timeout, "nothing"
    while loop.time() < end:
        try:
            async with session.get(url) as answer:
                seen = (await answer.text())[:200]
        except (aiohttp.ClientError, TimeoutError) as error:
            seen = type(error).__name__
        if PAGE.format(name=name) in seen:
            return
        await asyncio.sleep(0.1)
    raise StepFailedError(f"the page of {name} at {url}", seen)


async def silent(url: str) -> bool:
    """Whether a page does not answer."""
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.5)) as session, session.get(url):
            return False
    except (aiohttp.ClientError, TimeoutError):
        return True
