"""Every type of event that the code names stands in the table of docs/api.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TYPE = r"(?:connection|driver|orphan|infra|operation|vm|resource|agent|alarm|policy)\.[a-z-]+"


def test_every_event_type_of_the_code_is_documented() -> None:
    named = {
        found
        for room in ("daemon", "alarms")
        for path in (ROOT / "mcisd" / room).rglob("*.py")
        for found in re.findall(rf'"({TYPE})"', path.read_text())
    }
    assert {"vm.failed", "agent.refused", "alarm.message-dead"} <= named, "the search finds what is there"
    documented = set(re.findall(rf"`({TYPE})`", (ROOT / "docs" / "api.md").read_text()))
    files = {"agent.json", "agent.pyz"}  # what the agent is installed as
    assert named - documented - files == set()
