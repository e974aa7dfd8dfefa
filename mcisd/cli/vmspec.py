"""``GROUP:COUNT@CONNECTION[:SPEC[:IMAGE]]`` and request files. In: texts from the command line. Out: request bodies."""

import json
import re
import sys
from pathlib import Path

import click

from mcisd.cli.session import Json

_GROUP = re.compile(
    r"(?P<name>[a-z][a-z0-9-]*)(:(?P<count>\d+))?@(?P<connection>[a-z][a-z0-9-]*)(:(?P<spec>[^:]*)(:(?P<image>.+))?)?"
)


FORM = "GROUP:COUNT@CONNECTION[:SPEC[:IMAGE]]"


def vm_groups(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[Json, ...]:
    """Option callback: groups of equal VMs, such as ``web:3@aws-us-east-1`` or ``db@gcp:local.medium``."""
    return tuple(vm_group(text) for text in texts)


def vm_group(text: str) -> Json:
    """One group; BadParameter if it is not of this form."""
    found = _GROUP.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not {FORM}, for example web:3@aws-us-east-1")
    group: Json = {"name": found["name"], "count": int(found["count"] or 1), "connConfigName": found["connection"]}
    if found["spec"]:
        group["specId"] = found["spec"]
    if found["image"]:
        group["imageId"] = found["image"]
    return group


def read_json(path: str) -> Json:
    """The JSON object in a file, ``-`` for standard input; UsageError otherwise."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
        document = json.loads(text)
    except OSError as error:
        raise click.UsageError(f"file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise click.UsageError(f"file {path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise click.UsageError(f"file {path} holds no JSON object")
    return document


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """``KEY=VALUE`` texts as a dict."""
    found: dict[str, str] = {}
    for text in texts:
        key, mark, value = text.partition("=")
        if not mark or not key:
            raise click.UsageError(f"{option} {text!r} is not KEY=VALUE")
        found[key] = value
    return found
