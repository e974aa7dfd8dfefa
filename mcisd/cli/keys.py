"""Credentials as clouds hand them out. In: options and files of the command line. Out: key-values for the API.

A secret is never a process argument, which everybody on the machine can read: it comes from a file, the environment, a
question, or standard input.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from mcisd.cli.vmspec import pairs

_SECRET_WORDS = ("secret", "password", "passphrase", "token", "private", "json")
_AZURE = {
    "appId": "client_id", "clientId": "client_id", "password": "client_secret", "clientSecret": "client_secret",
    "tenant": "tenant_id", "tenantId": "tenant_id", "subscriptionId": "subscription_id",
}  # fmt: skip
_AWS = {"access key id": "access_key_id", "secret access key": "secret_access_key"}


def plain(texts: tuple[str, ...]) -> dict[str, str]:
    """``--set KEY=VALUE``; UsageError for a key that holds a secret."""
    found = pairs(texts, "--set")
    for key in found:
        if any(word in key for word in _SECRET_WORDS) and not key.endswith("_file"):
            raise click.UsageError(
                f"--set {key}=… would show a secret to everybody on this machine; "
                f"use --secret {key}, --set-env {key}=VARIABLE or --set-file {key}=PATH"
            )
    return found


def from_files(texts: tuple[str, ...]) -> dict[str, str]:
    """``--set-file KEY=PATH``: the content of each file, ``-`` for standard input."""
    return {key: read_text(path) for key, path in pairs(texts, "--set-file").items()}


def from_environment(texts: tuple[str, ...]) -> dict[str, str]:
    """``--set-env KEY=VARIABLE``; UsageError where the variable is empty."""
    found = {}
    for key, name in pairs(texts, "--set-env").items():
        found[key] = os.environ.get(name, "")
        if not found[key]:
            raise click.UsageError(f"--set-env {key}={name}: the variable {name} is not set")
    return found


def asked(keys: tuple[str, ...], option: str) -> dict[str, str]:
    """Each asked for without an echo, or read as a line of standard input."""
    return {key: ask(key, f"{option} {key}") for key in keys}


def ask(key: str, option: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(key, hide_input=True, err=True))
    line = sys.stdin.readline()
    if not line.strip():
        raise click.UsageError(f"{option} asks for a line of standard input, and there is none")
    return line.rstrip("\r\n")


def key_file(provider: str, path: str) -> dict[str, str]:
    """The file a cloud hands out for a program's access; UsageError where ``provider`` has no such file."""
    read = _KEY_FILES.get(provider)
    if read is None:
        raise click.UsageError(
            f"--file is for {', '.join(_KEY_FILES)}; for {provider} use --set-file KEY={path}, see `mcis drivers`"
        )
    text = read_text(path)
    try:
        return read(text)
    except ValueError:
        raise click.UsageError(f"file {path} is not a key file of {provider}") from None


def _google(text: str) -> dict[str, str]:
    if _object(text).get("type") != "service_account":
        raise ValueError("no service account")
    return {"service_account_json": text}


def _azure(text: str) -> dict[str, str]:
    """What ``az ad sp create-for-rbac`` prints, in either of its forms."""
    found = {_AZURE[key]: str(value) for key, value in _object(text).items() if key in _AZURE}
    if "client_secret" not in found:
        raise ValueError("no service principal")
    return found


def _object(text: str) -> dict[str, object]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _amazon(text: str) -> dict[str, str]:
    """The CSV that the console offers once when an access key is made."""
    row = next(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))), {})
    found = {_AWS[name.strip().lower()]: value for name, value in row.items() if name and name.strip().lower() in _AWS}
    if len(found) < len(_AWS):
        raise ValueError("no access key")
    return found


_KEY_FILES: dict[str, Callable[[str], dict[str, str]]] = {"aws": _amazon, "azure": _azure, "gcp": _google}


def read_text(path: str) -> str:
    """The content of a file, ``-`` for standard input; UsageError if it cannot be read."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise click.UsageError(f"file {path} cannot be read: {why}") from None
