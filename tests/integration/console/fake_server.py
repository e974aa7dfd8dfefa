"""A development server that speaks the part of the API the console uses, with made-up data that moves.

It is not the daemon: it keeps a list of 18 VMs and a clock, nothing else. Run it, open the printed link:
``python -m tests.integration.console.fake_server [PORT] [COPIES]``.
"""

import asyncio
import contextlib
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import ClientConnectionResetError, web

from tests.integration.console import fake_world as world

CONSOLE = Path(__file__).resolve().parents[3] / "mcisd" / "console"
ROOT = f"/ns/{world.NS}/infra/{world.INFRA}"
STEPS = {"suspend": ("Suspending", "Suspended"), "resume": ("Resuming", "Running"), "reboot": ("Rebooting", "Running"),
         "terminate": ("Terminating", "Terminated"), "retry": ("Creating", "Running"),
         "rollback": ("Terminating", "Terminated")}  # fmt: skip


class Fake:
    """State and handlers."""

    def __init__(self, copies: int) -> None:
        self.code, self.session = secrets.token_hex(8), secrets.token_hex(8)
        self.vms = world.fleet(copies)
        self.hot = next(vm["name"] for vm in self.vms if vm["region"] == "koreacentral")
        self.events: list[world.Json] = []
        self.operations: dict[str, world.Json] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        for vm in self.vms[:18]:
            self.emit("vm.running", f"{vm['name']} runs in {vm['region']}.", vm["name"])
            self.emit("agent.up", f"The agent of {vm['name']} reports.", vm["name"])
        self.emit("alarm.firing", f"cpu-high fires on {self.hot}: 93.4 > 80.", self.hot)

    def emit(self, kind: str, text: str, vm: str = "") -> None:
        """Add one event."""
        number = len(self.events) + 1
        self.events.append({
            "specversion": "1.0", "id": f"e{number}", "source": "mcisd", "type": kind,
            "subject": f"ns/{world.NS}/infra/{world.INFRA}" + (f"/vm/{vm}" if vm else ""),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "datacontenttype": "application/json",
            "sequence": number, "data": {"text": text}})  # fmt: skip

    def act(self, action: str, vms: list[world.Json]) -> world.Json:
        """Start an operation over these VMs."""
        name = f"op-{len(self.operations) + 1}"
        operation = {"id": name, "kind": action, "nameSpace": world.NS, "infraSvc": world.INFRA, "state": "running",
                     "actor": "console", "total": len(vms), "succeeded": 0, "failed": 0, "message": "",
                     "createdAt": time.time(), "finishedAt": None}  # fmt: skip
        self.operations[name] = operation
        task = asyncio.get_running_loop().create_task(self._work(operation, action, vms))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return operation

    async def _work(self, operation: world.Json, action: str, vms: list[world.Json]) -> None:
        during, after = STEPS[action]
        for vm in vms:
            vm["state"] = during
            self.emit(f"vm.{during.lower()}", f"{vm['name']}: {action} begins.", vm["name"])
        for vm in vms:
            await asyncio.sleep(0.25)
            vm["state"] = after
            operation["succeeded"] += 1
            self.emit(f"vm.{after.lower()}", f"{vm['name']} is {after.lower()}.", vm["name"])
        operation.update(state="succeeded", finishedAt=time.time())
        self.emit("operation.finished", f"{action} of {world.INFRA}: {len(vms)} of {len(vms)} done.")

    def find(self, request: web.Request) -> world.Json:
        """The VM a path names."""
        return next(vm for vm in self.vms if vm["name"] == request.match_info["vm"])

    async def monitoring(self, request: web.Request) -> web.Response:
        """History."""
        ask = request.query
        vms = [self.find(request)] if "vm" in request.match_info else self.vms
        return web.json_response(world.series(vms, ask["measurement"], ask["fields"].split(","), float(ask["start"]),
                                              float(ask["end"]), float(ask["step"]), self.hot))  # fmt: skip

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Samples, every VM each two seconds."""
        columns, answer = request.query["columns"].split(","), await sse(request)
        while True:
            for number, vm in enumerate(self.vms):
                if vm["state"] == "Running":
                    now = time.time()
                    values = {name: world.measure(number, name, now, vm["name"] == self.hot) for name in columns}
                    data = json.dumps({"vm": vm["name"], "time": now, "values": values})
                    await answer.write(f"event: sample\ndata: {data}\n\n".encode())
            await asyncio.sleep(2)

    async def list_events(self, request: web.Request) -> web.StreamResponse:
        """Events as a list, or as a stream."""
        if "text/event-stream" not in request.headers.get("Accept", ""):
            return web.json_response(self.events[-int(request.query.get("limit", "100")) :])
        position = int(request.headers.get("Last-Event-ID") or request.query.get("after") or len(self.events))
        answer = await sse(request)
        while True:
            for event in self.events[position:]:
                text = f"id: {event['sequence']}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n"
                await answer.write(text.encode())
                position = event["sequence"]
            await asyncio.sleep(0.2)

    async def login(self, request: web.Request) -> web.Response:
        """The one-time link."""
        if not secrets.compare_digest(request.query.get("code", ""), self.code):
            return web.Response(status=401, text="401")
        self.code = secrets.token_hex(8)  # once is enough
        answer = web.Response(status=302, headers={"Location": "/"})
        answer.set_cookie("mcisd_session", self.session, httponly=True, samesite="Strict")
        return answer

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Cookie on the API, header on writes, content security policy on all."""
        if request.path.startswith("/api/"):
            if request.cookies.get("mcisd_session") != self.session:
                return web.json_response({"title": "Unauthorized", "status": 401}, status=401)
            if request.method != "GET" and request.headers.get("X-Mcisd") != "1":
                return web.json_response({"title": "Forbidden", "status": 403}, status=403)
        try:
            answer: web.StreamResponse = await handler(request)
        except ClientConnectionResetError:  # the page went away in the middle of a stream
            return web.Response()
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = "default-src 'self'"
        return answer


async def sse(request: web.Request) -> web.StreamResponse:
    """An open event stream."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await answer.prepare(request)
    await answer.write(b": open\n\n")
    return answer


def plain(make: Any) -> Any:
    """A handler that answers what ``make(request)`` returns."""

    async def handler(request: web.Request) -> web.Response:
        return web.json_response(make(request))

    return handler


def application(fake: Fake) -> web.Application:
    """All routes."""
    app = web.Application(middlewares=[fake.guard])
    api = web.Application()

    def get(path: str, make: Any) -> None:
        api.router.add_get(path, plain(make))

    def act(request: web.Request) -> web.Response:
        vms = [fake.find(request)] if "vm" in request.match_info else fake.vms
        return web.json_response(fake.act(request.match_info["action"], vms), status=202)

    async def handler(request: web.Request) -> web.Response:
        return act(request)

    get("/infra", lambda _: [world.infra(fake.vms)])
    get(ROOT, lambda _: world.infra(fake.vms))
    get(ROOT + "/alarmThresholds", lambda _: world.thresholds())
    get("/alarms", lambda _: world.alarms(fake.hot, time.time()))
    get("/operations", lambda _: [one for one in fake.operations.values() if one["state"] == "running"])
    get("/operations/{id}", lambda request: fake.operations[request.match_info["id"]])
    api.router.add_get("/events", fake.list_events)
    api.router.add_get(ROOT + "/monitoring", fake.monitoring)
    api.router.add_get(ROOT + "/vms/{vm}/monitoring", fake.monitoring)
    api.router.add_get(ROOT + "/monitoring/live", fake.live)
    api.router.add_post(ROOT + "/{action:suspend|resume|reboot|terminate|retry|rollback}", handler)
    api.router.add_post(ROOT + "/vms/{vm}/{action:suspend|resume|reboot|terminate}", handler)
    app.add_subapp("/api/v1", api)
    app.router.add_get("/login", fake.login)

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(CONSOLE / "index.html")

    app.router.add_get("/", page)
    app.router.add_static("/", CONSOLE)
    return app


async def main() -> None:
    """Serve until stopped; the first line printed is the sign-in link."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    fake = Fake(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    runner = web.AppRunner(application(fake), shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/login?code={fake.code}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        asyncio.run(main())
