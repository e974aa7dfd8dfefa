"""An Azure of our own: token service, resource manager, price list and console storage at one TLS address.

In: requests of the real client library. Out: answers shaped as the recorded traffic of Azure has them (cassettes.py
says how far), and where nothing is recorded as we read Azure's documentation. No VM of it is real.
"""

import asyncio
import contextlib
import json
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs

from aiohttp import web

from mcisd.model.cloud import ConnectionSpec
from tests.clouds.azure import catalogue
from tests.clouds.azure.arm import Arm, ArmError, Json, guid
from tests.clouds.azure.routes import Reply, answer
from tests.clouds.azure.tls import make_authority

CHANGES = ("PUT", "POST", "PATCH", "DELETE")


class AzureStub:
    """``async with AzureStub() as stub``; ``stub.arm`` is its state, ``stub.seen`` what was asked of it."""

    def __init__(self) -> None:
        self.arm = Arm()
        self.tenant, self.client_id, self.secret = guid(), guid(), secrets.token_urlsafe(24)
        self.tokens: set[str] = set()
        self.trouble: str = ""
        self.times = 0
        self.seen: list[tuple[str, str]] = []
        self.url = ""
        self.ca_file = ""
        self._folder = tempfile.TemporaryDirectory(prefix="azure-stub-")
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        authority, context = await asyncio.to_thread(make_authority, Path(self._folder.name))
        self.ca_file = str(authority)
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"https://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._folder.cleanup()

    def spec(self, region: str = "koreacentral", name: str = "azure") -> ConnectionSpec:
        """A connection that works."""
        credential = {
            "subscription_id": self.arm.subscription,
            "tenant_id": self.tenant,
            "client_id": self.client_id,
            "client_secret": self.secret,
        }
        info = {
            "endpoint": self.url,
            "authority": self.url,
            "prices": self.url,
            "ca_file": self.ca_file,
            "polling_interval": "0.02",
            "hibernation": "true",
        }
        return ConnectionSpec(name, region, None, credential, info)

    @asynccontextmanager
    async def bring(self, trouble: str, times: int = 1) -> AsyncIterator[None]:
        """While inside, this befalls the calls (the words of Trouble)."""
        self.trouble, self.times = trouble, times
        loop_time = asyncio.get_running_loop().time()
        self.arm.late_since = loop_time if trouble == "lists that lag" else None
        self.arm.stale_since = loop_time if trouble == "lists that show the dead" else None
        try:
            yield
        finally:
            self.trouble, self.times = "", 0
            self.arm.late_since = self.arm.stale_since = None
            self.arm.graveyard.clear()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.arm.settle()
        self.seen.append((request.method, request.path_qs))
        try:
            if request.path.endswith("/oauth2/v2.0/token"):
                return self._token(request, parse_qs(await request.text()))
            if request.path == "/metadata/identity/oauth2/token":
                return self._metadata_token(request)
            if request.path == "/api/retail/prices":
                return self._prices(request)
            if request.path.startswith("/console/"):
                return web.Response(text=f"Linux boots\nlogin: {request.path.rpartition('/')[2]}\n")
            return await self._manage(request)
        except ArmError as error:
            return web.json_response(error.body, status=error.status, headers=error.headers)

    async def _manage(self, request: web.Request) -> web.StreamResponse:
        """A request to the resource manager: troubles first, then the routes."""
        if self.trouble == "a page of somebody else":
            return web.Response(text="<html>Please log in to the hotel's network</html>", content_type="text/html")
        self._admit(request)
        lose = self._befall(request)
        text = await request.text()
        reply = answer(self.arm, self.url, request.method, request.path, request.query, request.headers, _json(text))
        if lose:
            assert request.transport is not None
            request.transport.abort()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        return _response(reply)

    def _admit(self, request: web.Request) -> None:
        """The token, as ARM judges it."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if self.trouble == "clock skew":
            there = format_datetime(datetime.now(UTC) + timedelta(minutes=20), usegmt=True)
            text = "The access token is not yet valid or has expired."
            raise ArmError(401, "InvalidAuthenticationToken", text, {"Date": there})
        if kind != "Bearer" or token not in self.tokens:
            text = (
                "The access token is invalid."
                if token
                else "Authentication failed. The 'Authorization' header is missing."
            )
            raise ArmError(
                401,
                "InvalidAuthenticationToken" if token else "AuthenticationFailed",
                text,
                {"WWW-Authenticate": f'Bearer authorization_uri="{self.url}/{self.tenant}", error="invalid_token"'},
            )

    def _befall(self, request: web.Request) -> bool:
        """Raise what the present trouble answers; True if the answer shall be lost."""
        if request.method not in CHANGES or not self.trouble:
            return False
        machine = request.method == "PUT" and "/virtualMachines/" in request.path
        match self.trouble:
            case "missing permission":
                action = (
                    "Microsoft.Compute/virtualMachines/write"
                    if machine
                    else "Microsoft.Network/publicIPAddresses/write"
                )
                raise ArmError(
                    403,
                    "AuthorizationFailed",
                    f"The client '{self.client_id}' with object id '{guid()}' does not have authorization to perform "
                    f"action '{action}' over scope '{request.path}' or the scope is invalid. If access was recently "
                    "granted, please refresh your credentials.",
                )
            case "quota reached" if machine:
                raise ArmError(
                    409,
                    "OperationNotAllowed",
                    "Operation could not be completed as it results in exceeding approved Total Regional Cores quota.",
                )
            case "no capacity" if machine:
                raise ArmError(
                    409,
                    "SkuNotAvailable",
                    "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: "
                    "Standard_B1s' is currently not available in location 'koreacentral'.",
                )
        return self._strike()

    def _strike(self) -> bool:
        """The troubles that befall a number of requests."""
        if self.trouble not in ("throttling", "server faults", "lost answers") or self.times < 1:
            return False
        self.times -= 1
        if self.trouble == "throttling":
            raise ArmError(429, "TooManyRequests", "The request is being throttled.", {"Retry-After": "7"})
        if self.trouble == "server faults":
            raise ArmError(500, "InternalServerError", "Encountered internal server error.")
        return True

    def _token(self, request: web.Request, form: dict[str, list[str]]) -> web.Response:
        """Client credentials for a token, as Microsoft Entra ID gives them."""
        if self.trouble == "expired key":
            return _refusal(401, 7000222, "The provided client secret keys for app are expired.")
        if request.path.split("/")[1] != self.tenant:
            return _refusal(400, 90002, "Tenant not found.")
        if form.get("client_id") != [self.client_id]:
            return _refusal(400, 700016, "Application was not found in the directory.")
        if form.get("client_secret") != [self.secret]:
            return _refusal(401, 7000215, "Invalid client secret provided.")
        if form.get("scope") != [f"{self.url}/.default"]:
            return _refusal(400, 70011, "The provided value for scope is not valid.")
        return web.json_response(self._issue() | {"ext_expires_in": 3599})

    def _metadata_token(self, request: web.Request) -> web.Response:
        """What the metadata service of a VM with an identity gives."""
        if request.headers.get("Metadata") != "true":
            raise ArmError(400, "invalid_request", "Required metadata header not specified")
        return web.json_response(self._issue() | {"expires_on": "4102444800", "resource": request.query["resource"]})

    def _issue(self) -> Json:
        token = secrets.token_urlsafe(32)
        self.tokens.add(token)
        return {"token_type": "Bearer", "expires_in": 3599, "access_token": token}

    def _prices(self, request: web.Request) -> web.Response:
        """The public price list, in pages."""
        region = request.query.get("$filter", "").partition("armRegionName eq '")[2].partition("'")[0]
        rows, skip = catalogue.price_items(region), int(request.query.get("$skip", "0"))
        page = rows[skip : skip + 10]
        more = request.url.update_query({"$skip": str(skip + 10)}) if skip + 10 < len(rows) else None
        next_page = f"{self.url}{more.path_qs}" if more is not None else None
        return web.json_response(
            {"BillingCurrency": "USD", "Items": page, "NextPageLink": next_page, "Count": len(page)}
        )


def _json(text: str) -> Json:
    try:
        body = json.loads(text) if text else {}
    except ValueError as error:
        raise ArmError(400, "InvalidRequestContent", "The request content was invalid.") from error
    return body if isinstance(body, dict) else {}


def _refusal(status: int, number: int, words: str) -> web.Response:
    """As the token service refuses."""
    text = f"AADSTS{number}: {words} Trace ID: {guid()} Correlation ID: {guid()}"
    kind = "invalid_client" if status == 401 else "invalid_request"
    return web.json_response({"error": kind, "error_description": text, "error_codes": [number]}, status=status)


def _response(reply: Reply) -> web.Response:
    if reply.body is None:
        return web.Response(status=reply.status, headers=reply.headers)
    return web.json_response(reply.body, status=reply.status, headers=reply.headers)
