"""True traffic of Azure, recorded in 2020 by the makers of its client library and shipped in that library's source.

In: a name. Out: the requests of that recording and Azure's answers. The source (azure-mgmt-compute 12.0.0) is fetched
once with pip into ~/.cache/mcisd/azure, its checksum is compared, and nothing of it is kept in this repository.
"""

import ast
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcisd" / "azure"
ARCHIVE = "azure-mgmt-compute-12.0.0.zip"
CHECKSUM = "187dd375211ac9fd498d701ff41785760adc431a63cee93391d15e27de48f86f"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Interaction:
    """One request and Azure's answer. ``path`` has the query with it; header names are in small letters."""

    number: int
    method: str
    path: str
    sent: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: Any


def fetch() -> Path:
    """The archive, fetched if it is not there yet; AssertionError if it is another one than that we read."""
    path = CACHE / ARCHIVE
    if not path.exists():
        _download(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == CHECKSUM, f"{path} is not the archive that we know ({found}); remove it"
    return path


def _download(path: Path) -> None:
    """By pip, which wants old build tools beside it for so old a package."""
    tools = CACHE / "tools"
    CACHE.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "install", "--target", str(tools), "setuptools<80", "wheel"], {})
    wanted = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "azure-mgmt-compute==12.0.0"]
    _run([*pip, "download", "--dest", str(path.parent), *wanted], {"PYTHONPATH": str(tools)})


def _run(command: list[str], more: dict[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def recording(name: str) -> list[Interaction]:
    """All interactions of one recording, in their order."""
    with zipfile.ZipFile(fetch()) as archive:
        (member,) = [entry for entry in archive.namelist() if entry.endswith(f"recordings/{name}.yaml")]
        document = yaml.load(archive.read(member), Loader=yaml.CSafeLoader)
    return [_interaction(number, entry) for number, entry in enumerate(document["interactions"])]


def _interaction(number: int, entry: dict[str, Any]) -> Interaction:
    request, response = entry["request"], entry["response"]
    url = urlsplit(request["uri"])
    text = response["body"]["string"]
    return Interaction(
        number,
        request["method"],
        url.path + (f"?{url.query}" if url.query else ""),
        _sent(request.get("body")),
        response["status"]["code"],
        {name.lower(): values[0] for name, values in response["headers"].items()},
        json.loads(text) if text else None,
    )


def _sent(body: object) -> dict[str, Any]:
    """The body of a request: some were written down as the text of a Python bytes literal, some of them twice."""
    while isinstance(body, str) and body.startswith("b'"):
        body = ast.literal_eval(body).decode()
    while isinstance(body, bytes):
        body = body.decode()
        if body.startswith("b'"):
            body = ast.literal_eval(body)
    found = json.loads(body) if isinstance(body, str) and body else {}
    return found if isinstance(found, dict) else {}
