"""Google's own description of its API, as a judge. In: a request or an answer. Out: its method, and what does not fit.

The documents are those inside google-api-python-client. What Google's text marks as output only may not be sent.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def folder() -> Path:
    """Where the installed package keeps its documents."""
    spec = find_spec("googleapiclient")
    assert spec is not None, "google-api-python-client is missing"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "discovery_cache" / "documents"


_INTEGERS = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1),
             "uint64": (0, 2**64 - 1)}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """One method of the document; ``pattern`` matches its path below the root of the service."""

    id: str
    verb: str
    pattern: re.Pattern[str]
    detail: Json

    @property
    def name(self) -> str:
        """Without the name of the API: "instances.insert"."""
        return self.id.partition(".")[2]


class Document:
    """One API."""

    def __init__(self, name: str) -> None:
        self.content: Json = json.loads((folder() / f"{name}.json").read_text())
        self.root = "/" + self.content["servicePath"]
        self.methods = {method.name: method for method in _methods(self.content["resources"])}

    def find(self, verb: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """The method of a request and the parameters in its path; None if the API has no such method."""
        rest = path.removeprefix(self.root)
        for method in self.methods.values():
            if method.verb == verb and path.startswith(self.root) and (match := method.pattern.fullmatch(rest)):
                return method, match.groupdict()
        return None

    def request_misfits(
        self, method: Method, path: dict[str, str], query: list[tuple[str, str]], body: bytes
    ) -> list[str]:
        """What in a request the document does not allow."""
        known: Json = {**self.content["parameters"], **method.detail.get("parameters", {})}
        found = [f"path: {name}: {fault}" for name, text in path.items() for fault in _parameter(known[name], text)]
        for name, text in query:
            if name not in known or known[name].get("location") != "query":
                found.append(f"query: {name}: unknown")
            else:
                found += [f"query: {name}: {fault}" for fault in _parameter(known[name], text)]
        given = path.keys() | {name for name, _ in query}
        found += [f"{name}: missing" for name, one in known.items() if one.get("required") and name not in given]
        schema = method.detail.get("request")
        if schema is None:
            return found + (["body: none is expected"] if body else [])
        try:
            value = json.loads(body or b"null")
        except ValueError:
            return [*found, "body: not JSON"]
        return found + self.value_misfits(schema, value, "body", method.id)

    def answer_misfits(self, method: Method, value: object) -> list[str]:
        """What in an answer the document does not allow."""
        schema = method.detail.get("response")
        return self.value_misfits(schema, value, "answer", "") if schema else []

    def value_misfits(self, schema: Json, value: object, where: str, request: str) -> list[str]:
        """What in a value its schema does not allow; ``request`` is the id of the method it goes to, "" for answers."""
        if "$ref" in schema:
            schema = self.content["schemas"][schema["$ref"]]
        match schema["type"], value:
            case "object", dict():
                return self._object(schema, value, where, request)
            case "array", list():
                parts = (
                    self.value_misfits(schema["items"], one, f"{where}[{i}]", request) for i, one in enumerate(value)
                )
                return [fault for part in parts for fault in part]
            case "string", str():
                return [f"{where}: {fault}" for fault in _string(schema, value)]
            case ("integer", int()) | ("number", int() | float()) if not isinstance(value, bool):
                low, high = _INTEGERS.get(schema.get("format", ""), (float("-inf"), float("inf")))
                return [] if low <= value <= high else [f"{where}: out of range"]
            case ("boolean", bool()) | ("any", _):
                return []
        return [f"{where}: {type(value).__name__} instead of {schema['type']}"]

    def _object(self, schema: Json, value: Json, where: str, request: str) -> list[str]:
        properties, extra, found = schema.get("properties", {}), schema.get("additionalProperties"), []
        for name, part in value.items():
            known = properties.get(name, extra)
            if known is None:
                found.append(f"{where}.{name}: unknown")
            elif request and name in properties and _output_only(known):
                found.append(f"{where}.{name}: is for answers only")
            else:
                found += self.value_misfits(known, part, f"{where}.{name}", request)
        for name, known in properties.items():
            if request in known.get("annotations", {}).get("required", ()) and name not in value:
                found.append(f"{where}.{name}: missing")
        return found


@cache
def document(name: str) -> Document:
    """Read once in a process: the one of Compute Engine has 5 MB."""
    return Document(name)


def _methods(resources: Json) -> list[Method]:
    found = []
    for resource in resources.values():
        for detail in resource.get("methods", {}).values():
            path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(detail.get("flatPath", detail["path"])))
            found.append(Method(detail["id"], detail["httpMethod"], re.compile(path), _flat(detail)))
        found += _methods(resource.get("resources", {}))
    return found


def _flat(detail: Json) -> Json:
    """The method with a parameter for each name in its flat path ("services/{servicesId}" for "{+parent}")."""
    parameters = {
        name: one for name, one in detail.get("parameters", {}).items() if "{+" + name + "}" not in detail["path"]
    }
    for name in re.findall(r"\{(\w+)\}", str(detail.get("flatPath", detail["path"]))):
        parameters.setdefault(name, {"type": "string", "location": "path", "required": True})
    return {**detail, "parameters": parameters}


def _output_only(schema: Json) -> bool:
    return bool(schema.get("readOnly")) or schema.get("description", "").lower().startswith("[output only]")


def _parameter(schema: Json, text: str) -> list[str]:
    """What is wrong with a parameter of path or query."""
    kind = schema.get("type", "string")
    if kind == "integer" and not re.fullmatch(r"-?\d{1,19}", text):
        return ["not an integer"]
    if kind == "boolean" and text not in ("true", "false"):
        return ["not a boolean"]
    return _string(schema, text) if kind == "string" else []


def _string(schema: Json, value: str) -> list[str]:
    form = schema.get("format")
    if form in ("int64", "uint64"):
        low, high = _INTEGERS[form]
        if not (re.fullmatch(r"-?\d+", value) and low <= int(value) <= high):
            return [f"not a decimal {form}"]
    elif form == "byte":
        try:
            base64.b64decode(value, altchars=b"-_", validate=True)
        except binascii.Error:
            return ["not base64"]
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        return ["does not match its pattern"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{value[:40]!r} is not one of its values"]
    return []
