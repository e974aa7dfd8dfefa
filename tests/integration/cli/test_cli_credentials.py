"""`mcis` on clouds: credentials as clouds hand them out, drivers, checks, quotas, orphans. Against a fake API."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.cli_fake_api import TOKEN, FakeApi, fake_api, operation
from tests.integration.cli.test_cli_commands import mcis

ADD = ("credentials", "add", "work", "--provider")


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApi]:
    async with fake_api() as fake:
        monkeypatch.setenv("MCIS_URL", fake.url)
        monkeypatch.setenv("MCIS_TOKEN", TOKEN)
        fake.answers["POST /credentials"] = {"credentialName": "work"}
        yield fake


def sent(api: FakeApi) -> dict[str, str]:
    """The key-values of the one credential that was registered."""
    (asked,) = api.calls("POST /credentials")
    assert asked.body["credentialName"] == "work"
    return {pair["key"]: pair["value"] for pair in asked.body["keyValueInfoList"]}


async def test_a_profile(api: FakeApi) -> None:
    assert await mcis("credential", *ADD[1:], "aws", "--profile", "dev") == 0
    assert sent(api) == {"profile": "dev"}


async def test_keys_from_everywhere_but_the_command_line(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("from-a-file")
    monkeypatch.setenv("MY_ID", "from-the-environment")
    monkeypatch.setattr("sys.stdin", io.StringIO("typed-in\n"))
    options = ["--set", "access_key_id=AKIA", "--secret", "secret_access_key", "--set-env", "external_id=MY_ID"]
    assert await mcis(*ADD, "aws", *options, "--set-file", f"session_token={tmp_path / 'token'}") == 0
    assert sent(api) == {
        "access_key_id": "AKIA", "session_token": "from-a-file", "external_id": "from-the-environment",
        "secret_access_key": "typed-in",
    }  # fmt: skip
    shown = capsys.readouterr()
    assert not any(word in shown.out + shown.err for word in ("typed-in", "from-a-file", "from-the-environment"))


@pytest.mark.parametrize(
    ("provider", "content", "found"),
    [
        ("gcp", {"type": "service_account", "private_key": "k"}, None),
        (
            "azure",
            {"appId": "a", "displayName": "d", "password": "p", "tenant": "t"},
            {"client_id": "a", "client_secret": "p", "tenant_id": "t"},
        ),
        (
            "azure",
            {"clientId": "a", "clientSecret": "p", "tenantId": "t", "subscriptionId": "s", "galleryEndpointUrl": "u"},
            {"client_id": "a", "client_secret": "p", "tenant_id": "t", "subscription_id": "s"},
        ),
    ],
)
async def test_key_files(
    api: FakeApi, tmp_path: Path, provider: str, content: dict[str, str], found: dict[str, str] | None
) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(content))
    assert await mcis(*ADD, provider, "--file", str(path)) == 0
    assert sent(api) == (found or {"service_account_json": path.read_text()})


async def test_a_key_file_of_aws_and_clouds_yaml(api: FakeApi, tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_text("\ufeffAccess key ID,Secret access key\r\nAKIA,hush\r\n")
    assert await mcis(*ADD, "aws", "--file", str(path)) == 0
    assert sent(api) == {"access_key_id": "AKIA", "secret_access_key": "hush"}
    api.asked.clear()
    assert await mcis(*ADD, "openstack", "--clouds-yaml", str(tmp_path / "clouds.yaml"), "--cloud", "work") == 0
    assert sent(api) == {"clouds_yaml": str(tmp_path / "clouds.yaml"), "cloud": "work"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "client_secret=hush"], "--secret client_secret"),
        (["--set", "nonsense"], "KEY=VALUE"),
        (["--set-env", "password=NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["--set-file", "token=/no/such/file"], "cannot be read"),
        (["--secret", "password"], "standard input"),
        (["--file", "/dev/null"], "--set-file KEY="),
    ],
)
async def test_what_cannot_be_taken(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert await mcis(*ADD, "paper", *options) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "hush" not in told
    assert api.asked == []


@pytest.mark.parametrize("text", ["[]", "{}", "nonsense", '{"type": "authorized_user"}'])
@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
async def test_files_that_are_no_key_files(
    api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str], provider: str, text: str
) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    assert await mcis(*ADD, provider, "--file", str(path)) == 2
    assert f"is not a key file of {provider}" in capsys.readouterr().err


def driver(name: str, error: str = "", **capability: bool) -> dict[str, Any]:
    return {
        "driverName": name, "providerName": name, "version": "1", "capability": capability, "error": error,
        "credentialKeys": {} if error else {"uri": True, "ssh_key_file": False},
    }  # fmt: skip


async def test_drivers_say_what_they_can(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /drivers"] = [driver("libvirt", VM=True, Quota=False, Console=True), driver("bad", "no library")]
    assert await mcis("driver", "list") == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows[0].split() == ["libvirt", "libvirt", "1", "VM", "Console", "uri*", "ssh_key_file"]
    assert "cannot be used: no library" in rows[1]


async def test_a_check_that_failed_says_what_to_do(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    result = {"ok": False, "elapsedMs": 1.0, "error": "the key has expired.", "field": "session_token"}
    api.answers["POST /connections/c/check"] = result | {"remedy": "get a new one"}
    assert await mcis("connection", "check", "c") == 1
    assert capsys.readouterr().out == (
        "connection c does not work: the key has expired. (field session_token). Remedy: get a new one\n"
    )


def item(name: str, *, known: bool = False, orphan: bool = False) -> dict[str, Any]:
    return {
        "kind": "disk", "id": name, "name": "", "token": "", "tags": {}, "known": known, "orphan": orphan,
        "unknownSince": None if known else 5.0,
    }  # fmt: skip


async def test_quotas_and_what_is_owned(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /connections/c/quotas"] = [
        {"name": "vms", "limit": 5, "used": 2}, {"name": "gpus", "limit": None, "used": None}
    ]  # fmt: skip
    assert await mcis("connections", "quotas", "c") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[2:]] == [
        ["vms", "2", "5"], ["gpus", "-", "no", "limit"]
    ]  # fmt: skip
    api.answers["GET /connections/c/owned"] = [item("d-1", known=True), item("d-2"), item("d-3", orphan=True)]
    assert await mcis("connections", "owned", "c") == 0
    assert [line.split()[3] for line in capsys.readouterr().out.splitlines()[2:]] == ["yes", "no", "orphan"]


async def test_orphans_are_shown_and_removed_when_asked(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /connections/c/owned"] = [item("d-1", known=True), item("d-2", orphan=True)]
    assert await mcis("connections", "orphans", "c") == 0
    assert "d-1" not in capsys.readouterr().out
    assert await mcis("connections", "orphans", "c", "--remove") == 2, "nobody was asked"
    assert "--yes" in capsys.readouterr().err
    done = {"kind": "disk", "id": "d-2", "name": "", "outcome": "removed", "error": ""}
    api.answers["DELETE /connections/c/orphans"] = [done]
    assert await mcis("connections", "orphans", "c", "--remove", "--force", "--yes") == 0
    assert api.asked[-1].query == {"force": "true"}
    api.answers["DELETE /connections/c/orphans"] = [done | {"outcome": "in-use", "error": "needed"}]
    assert await mcis("connections", "orphans", "c", "--remove", "--yes") == 4
    assert api.asked[-1].query == {}
    assert "needed" in capsys.readouterr().out


async def test_console_log_and_hibernation(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /ns/default/infra/web/vms/a-1/console"] = {"vm": "a-1", "text": "\x1b[0;32mok\x1b[0m\r\nlogin:"}
    assert await mcis("console-log", "web", "a-1") == 0
    assert capsys.readouterr().out == "ok\nlogin:\n"
    api.answers["POST /ns/default/infra/web/suspend"] = operation()
    assert await mcis("suspend", "web", "--hibernate", "--no-wait") == 0
    assert api.asked[-1].query == {"hibernate": "true"}
    assert await mcis("resume", "web", "--hibernate") == 2


async def test_the_catalogue_of_a_cloud(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    base = {"name": "", "vcpus": 1, "memoryMib": 512, "diskGib": 0, "architecture": "x86_64", "gpus": 0}
    api.answers["GET /connections/c/specs"] = [
        base | {"id": "unknown", "price": None, "priceDate": None},
        base | {"id": "dear", "price": 2.0, "priceDate": "2026-11-01"},
        base | {"id": "cheap", "price": 0.005, "priceDate": "2026-11-01", "gpus": 1},
    ]
    assert await mcis("connection", "specs", "c") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows[0] == ["cheap", "1", "512", "1", "x86_64", "0.0050", "2026-11-01"]
    assert [row[0] for row in rows] == ["cheap", "dear", "unknown"]
    image = {"id": "ami-1", "name": "noble", "os": "linux", "architecture": "x86_64", "guestUser": "ubuntu"}
    api.answers["GET /connections/c/images"] = [image | {"alias": "ubuntu-24.04"}]
    assert await mcis("connection", "images", "c") == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["ubuntu-24.04", "x86_64", "ubuntu", "noble", "ami-1"]
