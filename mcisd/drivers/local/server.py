"""The cloud's HTTP API on its Unix socket. In: JSON requests. Out: JSON answers, errors as code and message.

GET  /v1/ping                      -> {"pid"}
POST /v1/stop {"terminate": bool}  -> {}; the process ends, with ``terminate`` all VMs before it
POST /v1/{region}/{operation}      -> what the operation answers; headers X-Cloud-Account, X-Cloud-Secret
"""

import asyncio
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from mcisd.aio.clock import SystemClock
from mcisd.drivers.local.errors import status_of, to_document
from mcisd.drivers.local.service import CloudService
from mcisd.drivers.local.settings import MAX_BODY, SOCKET_NAME, CloudSettings
from mcisd.model.errors import CloudError, CloudInvalidError

log = logging.getLogger(__name__)


class CloudServer:
    """Serves one cloud until told to stop."""

    def __init__(self, service: CloudService) -> None:
        self._service = service
        self._stop = asyncio.Event()
        self._terminate = False

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_get("/v1/ping", self._ping)
        app.router.add_post("/v1/stop", self._ask_to_stop)
        app.router.add_post("/v1/{region}/{operation}", self._operate)
        return app

    def stop(self) -> None:
        self._stop.set()

    async def until_stopped(self) -> bool:
        """Wait; True if the VMs are to be terminated as well."""
        await self._stop.wait()
        return self._terminate

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.json_response({"pid": os.getpid()})

    async def _ask_to_stop(self, request: web.Request) -> web.Response:
        try:
            self._terminate = bool((await _body(request)).get("terminate"))
        except CloudError as error:
            return web.json_response(to_document(error), status=status_of(error))
        self.stop()
        return web.json_response({})

    async def _operate(self, request: web.Request) -> web.Response:
        region, operation = request.match_info["region"], request.match_info["operation"]
        account = request.headers.get("X-Cloud-Account", "")
        secret = request.headers.get("X-Cloud-Secret", "")
        try:
            result = self._service.perform(operation, region, account, secret, await _body(request))
        except CloudError as error:
            return web.json_response(to_document(error), status=status_of(error))
        return web.json_response(result)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read() or b"{}")
    except web.HTTPRequestEntityTooLarge as error:
        raise CloudInvalidError(f"the request is larger than {MAX_BODY} bytes", remedy="send less") from error
    except ValueError as error:
        raise CloudInvalidError("the body is not JSON") from error
    return document if isinstance(document, dict) else {}


def _remove_old_socket() -> None:
    """Whoever made it is gone, for we hold the lock."""
    Path(SOCKET_NAME).unlink(missing_ok=True)


async def serve(home: Path, settings: CloudSettings) -> None:
    """Run the cloud in ``home`` (the working directory, so that socket paths stay short) until told to stop."""
    service = CloudService(home, settings, SystemClock())
    await service.machines.recover()
    server = CloudServer(service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    runner = web.AppRunner(server.application(), access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    _remove_old_socket()
    await web.UnixSite(runner, SOCKET_NAME).start()
    os.chmod(SOCKET_NAME, 0o600)  # noqa: PTH101 - the directory, mode 0700, has kept strangers out until here
    log.info("the cloud in %s serves, pid %d", home, os.getpid())
    try:
        terminate = await server.until_stopped()
    finally:
        await runner.cleanup()
    await service.machines.close(terminate=terminate)
    log.info("the cloud stopped%s", ", all VMs terminated" if terminate else "; its VMs go on")
