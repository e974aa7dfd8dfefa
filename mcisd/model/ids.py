"""Identifiers: names that users give, ids that we give."""

import re
import secrets

from mcisd.model.errors import InputError

NAME_RULE = "1 to 63 characters: small letters, digits and inner hyphens, starting with a letter"
_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def check_name(value: str, field: str) -> str:
    """``value`` if it may name an object (it becomes part of host names and tags), else InputError."""
    if not _NAME.fullmatch(value):
        raise InputError(f"{field} {value[:80]!r} is not a valid name", field=field, remedy=f"use {NAME_RULE}")
    return value


def new_id(prefix: str) -> str:
    """A fresh id of 16 characters, such as ``vm-k3…``: the prefix, a hyphen and 60 or more random bits."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(15 - len(prefix)))
