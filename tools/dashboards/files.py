"""All dashboards in, their JSON files out."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.dashboards import alarms, daemon, fleet, mcis, vm

HOME = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"


def texts() -> dict[str, str]:
    """File name → JSON text of every dashboard."""
    every = [fleet.dashboard(), mcis.dashboard(), vm.dashboard(), alarms.dashboard(), daemon.dashboard()]
    return {
        f"{page.uid}.json": json.dumps(page, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        for page in every
    }


def write(folder: Path) -> None:
    """Write the files, and remove those of dashboards that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    made = texts()
    for old in folder.glob("*.json"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)
