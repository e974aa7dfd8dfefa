"""The small HTTP door of every process: is it alive, can it work, what does it count. No secrets, no token.

``/livez``: the loop turns (or there would be no answer). ``/readyz``: 200 when everything this process is for works;
503 with what does not, in words. ``/metrics``: Prometheus' text format.
"""

from collections.abc import Callable

from aiohttp import web

from mcisd.daemon.telemetry import Telemetry

Ill = Callable[[], dict[str, str]]
"""What does not work: name → why. Empty: all is well."""


def add_health(app: web.Application, ill: Ill, telemetry: Telemetry) -> None:
    """The three paths, on any application."""

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        found = ill()
        body = {"status": "degraded" if found else "ok", "ill": sorted(found), "why": found}
        return web.json_response(body, status=503 if found else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.exposition(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)


def health_app(ill: Ill, telemetry: Telemetry) -> web.Application:
    """An application with nothing else, for processes without the role api."""
    app = web.Application()
    add_health(app, ill, telemetry)
    return app
