"""Paths of the API from names. A name is quoted, so that an odd one asks for nothing else than itself."""

from urllib.parse import quote


def at(*parts: str) -> str:
    """``at("ns", "demo", "infra")`` → ``/ns/demo/infra``."""
    return "".join("/" + quote(part, safe="") for part in parts)


def infra(ns: str, name: str, *more: str) -> str:
    return at("ns", ns, "infra", name, *more)
