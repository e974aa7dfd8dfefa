"""The HTTP server: access, parsing, errors and static files around the handlers of the route tables."""

import json
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from mcisd.daemon.api.access import COOKIE, SESSION_LIFE
from mcisd.daemon.api.context import Context
from mcisd.daemon.api.openapi import document
from mcisd.daemon.api.problems import answer, from_validation, problem, unexpected
from mcisd.daemon.api.routes import ROUTES
from mcisd.daemon.api.routing import PREFIX, Call, Route
from mcisd.daemon.health import add_health
from mcisd.model.errors import AccessError, InputError, McisdError

log = logging.getLogger(__name__)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONSOLE = Path(__file__).parents[2] / "console"
CONSOLE_PARTS = ("css", "js", "vendor", "data", "img")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def build(context: Context) -> web.Application:
    """The aiohttp application with every operation."""
    app = web.Application(
        middlewares=[_security(context), _errors], client_max_size=context.settings.api.max_body_bytes
    )
    for route in ROUTES:
        app.router.add_route(route.method, route.full_path, _endpoint(route, context), name=route.operation)
    text = cache(lambda: json.dumps(document(context.version), separators=(",", ":")))

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(text=text(), content_type="application/json")

    async def login(request: web.Request) -> web.Response:
        return _login(request, context)

    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/login", login)
    add_health(
        app, lambda: {name: state for name, state in context.health().items() if state != "ok"}, context.telemetry
    )
    _add_console(app)
    return app


def _endpoint(route: Route, context: Context) -> Handle:
    """A route as aiohttp wants it: parse, call, render."""

    async def endpoint(request: web.Request) -> web.StreamResponse:
        query = _query(route, request)
        body = await _body(route, request)
        call = Call(request, context, dict(request.match_info), body, query)
        result = await route.handler(call)
        if isinstance(result, web.StreamResponse):
            return result
        return _render(route, result)

    return endpoint


def _render(route: Route, result: Any) -> web.Response:
    if route.status == 204:
        return web.Response(status=204)
    if isinstance(result, list):
        text = "[" + ",".join(item.model_dump_json(by_alias=True) for item in result) + "]"
    else:
        text = result.model_dump_json(by_alias=True)
    headers = {"Location": f"{PREFIX}/operations/{result.id}"} if route.status == 202 else {}
    return web.Response(status=route.status, text=text, content_type="application/json", headers=headers)


def _query(route: Route, request: web.Request) -> BaseModel | None:
    if route.query is None:
        if request.query:
            name = next(iter(request.query))
            raise InputError(f"query parameter {name!r} is not known here", field=name, remedy="leave it out")
        return None
    values: dict[str, Any] = {}
    tags: dict[str, str] = {}
    for name, value in request.query.items():
        if name.startswith("tag.") and "tags" in route.query.model_fields:
            tags[name.removeprefix("tag.")] = value
        else:
            values[name] = value
    if tags:
        values["tags"] = tags
    try:
        return route.query.model_validate(values)
    except ValidationError as error:
        raise from_validation(error, "query parameter") from None


async def _body(route: Route, request: web.Request) -> BaseModel | None:
    if route.body is None:
        return None
    raw = await request.read()
    try:
        return route.body.model_validate_json(raw)
    except ValidationError as error:
        raise from_validation(error, "body") from None


@web.middleware
async def _errors(request: web.Request, handler: Handle) -> web.StreamResponse:
    try:
        return await handler(request)
    except McisdError as error:
        return problem(error)
    except web.HTTPException as error:
        return _http(error, request)
    except Exception as error:  # noqa: BLE001 - the edge of the process: told as a problem, logged with its trace
        return unexpected(error, request)


def _http(error: web.HTTPException, request: web.Request) -> web.StreamResponse:
    if error.status < 400:
        return error
    if error.status == 404:
        return answer(
            404, "Not found", f"there is nothing at {request.path[:200]}", "not-found", remedy="see /openapi.json"
        )
    if error.status == 405:
        allowed = error.headers.get("Allow", "")
        return answer(
            405, "Method not allowed", f"{request.method} makes no sense here", "method", remedy=f"use {allowed}",
            headers={"Allow": allowed},
        )  # fmt: skip
    if error.status == 413:
        return answer(413, "Too large", "the body is too large", "too-large", "body", "send less at once")
    return answer(error.status, error.reason, error.reason, "http")


def _security(context: Context) -> Any:
    """Everything but the console's files, health and login needs the token; every answer gets the safe headers."""

    @web.middleware
    async def security(request: web.Request, handler: Handle) -> web.StreamResponse:
        path = request.path
        if path.startswith("/api/") or path == "/openapi.json":
            try:
                context.access.check(request)
            except AccessError:
                return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
            if path.startswith("/api/"):
                response.headers["Cache-Control"] = "no-store"
        return response

    return security


def _login(request: web.Request, context: Context) -> web.Response:
    try:
        session = context.access.redeem(request.query.get("code", ""))
    except AccessError as error:
        text = f"{error.message[0].upper()}{error.message[1:]}. Get a new one with `mcis console`.\n"
        return web.Response(status=401, text=text)
    response = web.Response(status=303, headers={"Location": "/"})
    response.set_cookie(
        COOKIE, session, max_age=int(SESSION_LIFE), httponly=True, samesite="Strict", secure=request.secure, path="/"
    )
    return response


def _add_console(app: web.Application) -> None:
    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(CONSOLE / "index.html", headers={"Cache-Control": "no-cache"})

    app.router.add_get("/", index)
    for part in CONSOLE_PARTS:
        if (CONSOLE / part).is_dir():
            app.router.add_static(f"/{part}/", CONSOLE / part)
