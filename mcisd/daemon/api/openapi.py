"""The OpenAPI 3.1 document, built from the route tables and the pydantic models; no server needed."""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mcisd.daemon.api.routes import ROUTES
from mcisd.daemon.api.routing import PREFIX, Route
from mcisd.daemon.api.schemas.system import Problem

REF = "#/components/schemas/{model}"
PROBLEMS = {
    401: "Wrong or missing token",
    404: "Something named in the path does not exist",
    409: "Taken, in use, changed meanwhile, or the action makes no sense in this state",
    413: "The body is too large",
    422: "The request is not valid; `field` and `remedy` say what and how to mend it",
}


def document(version: str) -> dict[str, Any]:
    """The whole document as JSON-ready data."""
    models = _models()
    refs, definitions = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    schema_of = {model: refs[model, "validation"] for model in models}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.full_path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mcisd",
            "version": version,
            "summary": "Launch, watch and steer a group of VMs across clouds as one object",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models() -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {Problem: None}
    for route in ROUTES:
        for model in (route.body, route.result):
            if model is not None:
                found[model] = None
    return list(found)


def _operation(route: Route, schema_of: dict[type[BaseModel], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.tag or _tag(route)],
        "responses": _responses(route, schema_of),
    }
    parameters = [*_path_parameters(route), *_query_parameters(route)]
    if route.status == 202:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "the same key gives the same operation",
                "schema": {"type": "string", "maxLength": 128},
            }
        )
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {"application/json": {"schema": schema_of[route.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _tag(route: Route) -> str:
    words = [part for part in route.path.split("/") if part and not part.startswith("{")]
    return words[1] if words[0] == "ns" and len(words) > 1 else words[0]


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": _inlined(value, schema.get("$defs", {}))}
        for name, value in schema["properties"].items()
    ]


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """A query schema stands by itself: references into its own definitions are written out."""
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(definitions[value["$ref"].rsplit("/", 1)[1]], definitions)
        return {key: _inlined(item, definitions) for key, item in value.items()}
    return [_inlined(item, definitions) for item in value] if isinstance(value, list) else value


def _responses(route: Route, schema_of: dict[type[BaseModel], Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done" if route.status == 204 else "OK"}
    if route.result is not None:
        schema = schema_of[route.result]
        good["content"] = {"application/json": {"schema": {"type": "array", "items": schema} if route.many else schema}}
    if route.stream:
        good.setdefault("content", {})["text/event-stream"] = {"schema": {"type": "string"}}
    if route.status == 202:
        good["description"] = "Accepted; follow the operation"
        good["headers"] = {"Location": {"schema": {"type": "string"}, "description": f"{PREFIX}/operations/ID"}}
    codes = {401, 404} if "{" in route.path else {401}
    codes |= {422} if route.body or route.query else set()
    codes |= {409} if route.method != "GET" else set()
    codes |= {413} if route.body else set()
    problem = {"application/problem+json": {"schema": schema_of[Problem]}}
    bad = {str(code): {"description": PROBLEMS[code], "content": problem} for code in sorted(codes)}
    return {str(route.status): good, **bad}
