"""`mcisd check` on the real engines: all well; and each part ill on its own, told with the remedy."""

from pathlib import Path
from typing import Any

import pytest

from mcisd.daemon.check import Finding, check
from mcisd.daemon.settings import Settings
from mcisd.store.metadata.upgrade import HEAD
from tests.engines import InfluxServer

pytestmark = pytest.mark.engines


@pytest.fixture
def tree(
    tmp_path: Path, kafka_servers: str, kafka_prefix: str, influx_server: InfluxServer, postgres_url: str
) -> dict[str, Any]:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(influx_server.token)
    return {
        "home": tmp_path / "home",
        "node": {"roles": "writer", "port": 0},
        "bus": {"url": f"kafka://{kafka_servers}", "prefix": kafka_prefix},
        "store": {
            "metadata_url": postgres_url,
            "series_url": influx_server.url,
            "series_org": influx_server.org,
            "series_bucket": influx_server.bucket,
            "series_token_file": token,
        },
    }


async def checked(tree: dict[str, Any], **changes: dict[str, object]) -> dict[str, Finding]:
    merged = {name: tree[name] | changes.get(name, {}) if isinstance(tree[name], dict) else tree[name] for name in tree}
    return {finding.part: finding for finding in await check(Settings.model_validate(merged))}


async def test_all_is_well(tree: dict[str, Any]) -> None:
    found = await checked(tree)
    assert {part: finding.text for part, finding in found.items() if not finding.ok} == {}
    assert "PostgreSQL" in found["metadata"].text
    assert f"schema {HEAD}" in found["metadata"].text
    assert "InfluxDB" in found["series"].text
    assert "6 topics" in found["bus"].text


async def test_a_wrong_token_is_told_and_hides_nothing_else(tree: dict[str, Any], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("not-the-token")
    found = await checked(tree, store={"series_token_file": wrong})
    assert [part for part, finding in found.items() if not finding.ok] == ["series"]
    assert "Remedy" in found["series"].text
    assert "not-the-token" not in found["series"].text


async def test_a_token_that_others_may_read_is_refused(tree: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "token").chmod(0o644)
    found = await checked(tree)
    assert "chmod 600" in found["series"].text


async def test_another_secret_key_than_the_installations_is_told(tree: dict[str, Any], tmp_path: Path) -> None:
    assert (await checked(tree))["metadata"].ok
    found = await checked(tree, store={"secret_key_file": tmp_path / "other.key"})
    assert not found["metadata"].ok
    assert "copy the file secret.key" in found["metadata"].text


async def test_a_broker_that_is_not_there(tree: dict[str, Any]) -> None:
    found = await checked(tree, bus={"url": "kafka://127.0.0.1:9"})
    assert [part for part, finding in found.items() if not finding.ok] == ["bus"]
    assert "127.0.0.1:9" in found["bus"].text
