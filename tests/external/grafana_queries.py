"""The dashboards of the repository in, every query in them out, as Grafana would send it; and InfluxDB's answers."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.engines import InfluxServer

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"
_VARIABLE = re.compile(r"\$\{(\w+):regex\}")
_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")


@dataclass(frozen=True, slots=True)
class Span:
    """A time range as a user chooses it, in epoch seconds, and the step that Grafana makes of it."""

    start: int
    stop: int

    @property
    def step_s(self) -> int:
        """A thousand points a panel, never less than ten seconds."""
        return max(10, (self.stop - self.start) // 1000)


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """A query of a panel: ``kind`` is the type of the panel, ``labels`` what its legend wants of each line."""

    page: str
    title: str
    kind: str
    labels: frozenset[str]
    text: str


def pages() -> dict[str, dict[str, Any]]:
    """Every dashboard by its uid."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def panel_queries(page: Mapping[str, Any]) -> Iterator[PanelQuery]:
    """All queries of one dashboard, in order."""
    for panel in page["panels"]:
        name = panel.get("fieldConfig", {}).get("defaults", {}).get("displayName", "")
        labels = frozenset(re.findall(r"__field\.labels\.(\w+)", name))
        for target in panel.get("targets", ()):
            yield PanelQuery(page["uid"], panel["title"], panel["type"], labels, target["query"])


def sent(text: str, span: Span, bucket: str, chosen: Mapping[str, tuple[str, ...]]) -> str:
    """The text that reaches InfluxDB: variables and macros replaced. ``chosen``: values by variable; none is All."""

    def values(found: re.Match[str]) -> str:
        every = [_SPECIAL.sub(lambda special: "\\" + special[0], value) for value in chosen[found[1]]]
        return ".*" if not every else every[0] if len(every) == 1 else f"({'|'.join(every)})"

    text = _VARIABLE.sub(values, text)
    macros = {
        "v.timeRangeStart": datetime.fromtimestamp(span.start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "v.timeRangeStop": datetime.fromtimestamp(span.stop, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "v.windowPeriod": f"{span.step_s}s",
        "v.defaultBucket": f'"{bucket}"',
    }
    for macro, value in macros.items():
        text = text.replace(macro, value)
    assert not re.search(r"\$\{|\bv\.", text), text
    return text


class Asker:
    """Asks one InfluxDB."""

    def __init__(self, server: InfluxServer, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session

    async def rows(self, text: str) -> list[dict[str, str]]:
        """The rows of the answer: column → text. Fails with InfluxDB's own words on a bad query."""
        body = {"query": text, "type": "flux", "dialect": {"header": True, "annotations": []}}
        headers = {"Authorization": f"Token {self._server.token}"}
        url = f"{self._server.url}/api/v2/query"
        async with self._session.post(url, params={"org": self._server.org}, json=body, headers=headers) as answer:
            told = await answer.text()
            assert answer.status == 200, f"{told}\n{text}"
        found = []
        for table in told.replace("\r\n", "\n").strip().split("\n\n"):
            rows = list(csv.DictReader(io.StringIO(table)))
            assert not rows or "error" not in rows[0], f"{rows[0]}\n{text}"
            found += rows
        return found
