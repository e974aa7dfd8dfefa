"""The dashboards are what the generator makes, ask for what is measured, and draw all that is declared."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from mcisd.agent.probes.base import ProcFiles
from mcisd.agent.probes.own import Stats
from mcisd.agent.scope import probes
from mcisd.daemon.telemetry import DECLARED, MEASUREMENT
from tools.dashboards.files import HOME, texts, write

GRAFANA = HOME.parent
PAGES: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in texts().items()}
CLAUSE = re.compile(r'r\._measurement == "(\w+)".*?\n?.*?((?:r\._field == "[^"]+"(?: or )?)+)', re.DOTALL)


def queries(page: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title of the panel and text of each query."""
    for panel in page["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["query"]


def measured() -> dict[str, set[str]]:
    """Measurement → fields as they are stored, of agents and of the daemon itself."""
    stats, files = Stats(), ProcFiles("/")
    found = {MEASUREMENT: set(DECLARED)}
    for probe in probes({}, files, stats):
        fields = {name for name, _ in probe.fields} | {f"{name}_rate" for name, kind in probe.fields if kind == "c"}
        parts = {f"{name}:{part}" for name in fields for part in ("sum", "min", "max", "count")}
        found[probe.measurement] = fields | parts
    return found


def test_the_files_are_what_the_generator_makes(tmp_path: Path) -> None:
    made = texts()
    assert sorted(path.name for path in HOME.glob("*.json")) == sorted(made)
    differing = [name for name, text in made.items() if (HOME / name).read_text() != text]
    assert differing == [], "write them with: python -m tools.dashboards"
    (tmp_path / "of-old.json").write_text("{}")
    write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(made)


@pytest.mark.parametrize("name", PAGES)
def test_every_query_asks_for_something_that_is_measured(name: str) -> None:
    known = measured()
    asked = 0
    for title, text in queries(PAGES[name]):
        clauses = CLAUSE.findall(text)
        assert clauses, title
        for measurement, fields in clauses:
            wanted = set(re.findall(r'r\._field == "([^"]+)"', fields))
            assert wanted <= known[measurement], f"{title}: {measurement} has no {sorted(wanted - known[measurement])}"
            asked += len(wanted)
    assert asked > 5


def test_every_metric_of_the_daemon_is_drawn() -> None:
    every = "\n".join(text for page in PAGES.values() for _, text in queries(page))
    assert [name for name in DECLARED if f'r._field == "{name}"' not in every] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_dashboard_is_whole(name: str) -> None:
    page = PAGES[name]
    assert page["uid"] + ".json" == name
    assert page["title"].startswith("mcisd: ")
    assert page["description"]
    drawn = [panel for panel in page["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
    assert len({panel["title"] for panel in drawn}) == len(drawn)
    for panel in drawn:
        assert panel["datasource"]["uid"] == "mcisd-influxdb"
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    used = set(re.findall(r"\$\{(\w+):regex\}", json.dumps(page)))
    assert used == {variable["name"] for variable in page["templating"].get("list", [])}


@pytest.mark.parametrize("name", PAGES)
def test_grafana_s_own_model_of_a_dashboard_loses_nothing(name: str) -> None:
    again = json.dumps(Dashboard.from_json(PAGES[name]), cls=JSONEncoder)
    assert json.loads(again) == PAGES[name]


@pytest.mark.parametrize("name", PAGES)
def test_panels_lie_side_by_side(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PAGES[name]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_links_lead_to_a_dashboard_with_these_variables() -> None:
    found = set(re.findall(r"/d/([\w-]+)\?([^\"]+)", json.dumps([*PAGES.values()])))
    assert found
    for uid, query in found:
        variables = {variable["name"] for variable in PAGES[f"{uid}.json"]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", query)) == variables


def test_the_provisioned_source_is_the_one_that_panels_name() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/mcisd.yaml").read_text())["datasources"]
    assert (source["uid"], source["type"], source["jsonData"]["version"]) == ("mcisd-influxdb", "influxdb", "Flux")
    compose = yaml.safe_load((GRAFANA.parent / "compose.yaml").read_text())
    grafana = compose["services"]["grafana"]
    variables = set(re.findall(r"\$([A-Z][A-Z_]+)", json.dumps(source)))
    assert variables <= set(grafana["environment"])
    assert source["secureJsonData"]["token"] == "$__file{/run/secrets/influx_token}"
    assert "influx_token" in grafana["secrets"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/mcisd.yaml").read_text())["providers"]
    mounts = dict(mount.split(":")[:2] for mount in grafana["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
