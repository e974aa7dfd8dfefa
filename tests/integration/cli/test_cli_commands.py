"""`mcis` against a fake API: what it asks, what it prints, how it exits."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcisd.cli.main import main
from tests.integration.cli.cli_fake_api import (
    TOKEN,
    FakeApi,
    Turn,
    event,
    fake_api,
    nothing,
    operation,
    refusing,
    sse,
    streaming,
)


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApi]:
    async with fake_api() as fake:
        monkeypatch.setenv("MCIS_URL", fake.url)
        monkeypatch.setenv("MCIS_TOKEN", TOKEN)
        monkeypatch.delenv("MCIS_NS", raising=False)
        yield fake


async def mcis(*arguments: str) -> int:
    """Run the command as a program would, in a thread of its own loop."""
    return await asyncio.to_thread(main, list(arguments))


def vm(name: str, state: str = "Running", **more: Any) -> dict[str, Any]:
    base = {
        "name": name, "state": state, "goal": "Running", "agent": "up", "error": "", "region": "r1", "zone": "a",
        "providerName": "local", "publicAddress": "127.0.0.9", "vcpus": 1, "memoryMib": 512,
    }  # fmt: skip
    return base | more


def infra(*vms: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "mc-1", "name": "web", "nameSpace": "default", "description": "", "labels": {}, "onFailure": "keep",
        "status": f"Running:{len(vms)} (R:{len(vms)}/{len(vms)})", "counts": {"Running": len(vms)},
        "pricePerHour": 0.015, "createdAt": 100.0, "vms": list(vms),
    }  # fmt: skip


STATUS = {"name": "web", "status": "Running:2 (R:2/2)", "counts": {"Running": 2}, "total": 2, "agentsUp": 2}


async def test_create_waits_and_tells(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers |= {
        "POST /ns/default/infra": operation(),
        "GET /operations/op-1": [Turn(operation()), Turn(operation("succeeded"))],
        "GET /ns/default/infra/web/status": STATUS,
    }
    assert await mcis("create", "web", "--vm", "a:2@aws:small", "--on-failure", "retry", "--label", "k=v") == 0
    shown = capsys.readouterr()
    assert shown.out == "create of web succeeded in 1.5 s: 2 of 2 VM(s)\n"
    assert shown.err == "create web: 2 VM(s) …\n"
    group = {"name": "a", "count": 2, "connConfigName": "aws", "specId": "small"}
    wanted = {"name": "web", "onFailure": "retry", "labels": {"k": "v"}, "vmRequestList": [group]}
    assert api.calls("POST /ns/default/infra")[0].body == wanted


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("partial", 4), ("failed", 4)])
async def test_the_outcome_of_an_operation_is_the_exit_code(api: FakeApi, state: str, code: int) -> None:
    api.answers |= {"POST /ns/default/infra/web/suspend": operation(), "GET /operations/op-1": operation(state)}
    assert await mcis("suspend", "web") == code


async def test_create_from_a_file_in_another_namespace(api: FakeApi, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"name": "web", "vmRequestList": [{"name": "a", "connConfigName": "c"}]}))
    api.answers["POST /ns/prod/infra"] = operation()
    assert await mcis("--ns", "prod", "create", "-f", str(path), "--vm", "b@c", "--no-wait", "-o", "json") == 0
    body = api.asked[0].body
    assert [group["name"] for group in body["vmRequestList"]] == ["a", "b"]


async def test_a_refusal_is_one_line_and_exit_1(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    refuse = refusing(409, "conflict", "the name is taken", field="name", remedy="choose another name")
    api.answers["POST /ns/default/infra"] = refuse
    assert await mcis("create", "web", "--vm", "a@c") == 1
    assert capsys.readouterr().err == "error: the name is taken (field name). Remedy: choose another name\n"


async def test_no_access_and_no_daemon_are_exit_3(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MCIS_TOKEN", "wrong")
    assert await mcis("list") == 3
    assert "401" in capsys.readouterr().err
    monkeypatch.setenv("MCIS_TOKEN", "")
    monkeypatch.setenv("MCISD_HOME", str(tmp_path))
    assert await mcis("list") == 3
    assert "mcisd run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["create"], ["create", "web"], ["nonsense"], ["create", "web", "--vm", "x"], ["terminate", "web"], ["run", "web"]],
)
async def test_wrong_arguments_are_exit_2(api: FakeApi, arguments: list[str]) -> None:
    assert await mcis(*arguments) == 2
    assert api.asked == []


async def test_list_as_table_and_as_json(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /ns/default/infra"] = [infra(vm("a-1"), vm("a-2", region="r2"))]
    assert await mcis("list") == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    assert row[:6] == ["default", "web", "Running:2", "(R:2/2)", "2", "2"]
    assert await mcis("list", "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "web"
    api.answers["GET /ns/default/infra"] = []
    assert await mcis("list") == 0
    assert "mcis create --help" in capsys.readouterr().out


async def test_run_prefixes_output_and_exits_4_if_one_failed(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    base = {"stderr": "", "truncated": False, "elapsedS": 0.1, "error": ""}
    results = [
        base | {"vm": "a-1", "exitStatus": 0, "stdout": "one\ntwo\n"},
        base | {"vm": "a-10", "exitStatus": None, "stdout": "", "error": "not reachable"},
    ]
    api.answers["POST /ns/default/infra/web/command"] = {"results": results}
    assert await mcis("run", "web", "--vm", "a-1", "--vm", "a-10", "--", "ls", "-l") == 4
    shown = capsys.readouterr()
    assert shown.out == "a-1  | one\na-1  | two\n"
    assert shown.err == "a-10 | error: not reachable\n"
    assert api.asked[0].body == {"command": "ls -l", "timeoutS": 60.0, "vms": ["a-1", "a-10"]}


async def test_terminate_needs_a_yes_and_names_one_vm(api: FakeApi) -> None:
    api.answers["POST /ns/default/infra/web/vms/a-1/terminate"] = operation()
    assert await mcis("terminate", "web", "--vm", "a-1", "--yes", "--no-wait") == 0
    assert api.asked[0].headers["Idempotency-Key"]


async def test_secrets_of_a_connection_come_from_standard_input(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    api.answers |= {
        "GET /drivers": [{"driverName": "local", "providerName": "local"}],
        "POST /credentials": {}, "POST /regions": {}, "POST /connections": {"connConfigName": "c"},
        "POST /connections/c/check": {"ok": True, "elapsedMs": 4.0, "error": ""},
    }  # fmt: skip
    arguments = ["connections", "create", "c", "--driver", "local", "--region", "r", "--credential", "account=me"]
    assert await mcis(*arguments, "--credential", "secret=-", "--location", "1.5,2") == 0
    values = api.calls("POST /credentials")[0].body["keyValueInfoList"]
    assert values == [{"key": "account", "value": "me"}, {"key": "secret", "value": "s3cret"}]
    assert api.calls("POST /regions")[0].body["location"] == {"latitude": 1.5, "longitude": 2.0}
    shown = capsys.readouterr()
    assert "works" in shown.out
    assert "s3cret" not in shown.out + shown.err


async def test_a_connection_that_cannot_be_made_leaves_nothing_behind(api: FakeApi) -> None:
    api.answers |= {
        "GET /drivers": [{"driverName": "local", "providerName": "local"}],
        "POST /credentials": {}, "POST /regions": {}, "POST /connections": refusing(409, "conflict", "taken"),
        "DELETE /credentials/c": nothing, "DELETE /regions/c": nothing,
    }  # fmt: skip
    assert await mcis("connections", "create", "c", "--driver", "local", "--region", "r", "--credential", "a=b") == 1
    assert [one.path for one in api.asked if one.method == "DELETE"] == ["/regions/c", "/credentials/c"]


async def test_groups_alone_mean_their_list(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers |= {"GET /connections": [], "GET /ns": [], "GET /channels": []}
    for group in ("connections", "ns", "channels"):
        assert await mcis(group) == 0
        assert await mcis(group, "list", "-o", "json") == 0
        assert capsys.readouterr().out.endswith("[]\n")


async def test_events_page_and_stream(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /events"] = [event(1)]
    assert await mcis("events", "--infra", "web", "--type", "vm") == 0
    assert api.asked[0].query == {"limit": "50", "subject": "ns/default/infra/web", "type": "vm"}
    assert capsys.readouterr().out.endswith("vm.running           event 1\n")
    gone = refusing(404, "not-found", "gone")
    api.answers["GET /events"] = [Turn(streaming(sse(event(2)), sse(event(3)))), Turn(gone)]
    assert await mcis("events", "--follow", "--after", "1", "-o", "json") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [2, 3]


async def test_top_once(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /ns/default/infra/web"] = infra(vm("a-1"))
    data = json.dumps({"vm": "a-1", "time": 2.0, "values": {"cpu.usage_active": 12.34, "mem.used_percent": 50.0}})
    api.answers["GET /ns/default/infra/web/monitoring/live"] = streaming(f"event: sample\ndata: {data}\n\n".encode())
    assert await mcis("top", "web", "--once") == 0
    assert capsys.readouterr().out.splitlines()[2].split()[:4] == ["a-1", "r1", "12.3", "50.0"]


async def test_policies_thresholds_channels(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers |= {
        "POST /ns/default/infra/web/policies": {"name": "grow"},
        "PUT /ns/default/infra/web/alarmThresholds": {"thresholds": []},
        "POST /channels": {"name": "ops", "scheme": "slack"},
    }
    assert await mcis("policies", "web", "add", "grow", "--rule", "hot", "--action", "scaleOut", "--maximum", "9") == 0
    assert api.asked[-1].body == {"name": "grow", "rule": "hot", "action": "scaleOut", "maximum": 9}
    path = tmp_path / "rules.json"
    path.write_text('{"thresholds": []}')
    assert await mcis("thresholds", "web", "set", str(path)) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("slack://a/b/c\n"))
    assert await mcis("channels", "add", "ops") == 0
    assert api.asked[-1].body == {"name": "ops", "url": "slack://a/b/c"}
    assert "slack://a" not in capsys.readouterr().out


async def test_following_a_finished_operation(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /operations/op-1"] = operation("partial")
    assert await mcis("ops", "op-1") == 4
    assert "partial" in capsys.readouterr().out


async def test_console_link(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["POST /console-links"] = {"url": "http://h/login?code=x"}
    assert await mcis("console") == 0
    assert capsys.readouterr().out == "http://h/login?code=x\n"


async def test_help_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from mcisd.cli.main import mcis as root

    for name in root.commands:
        assert await mcis(name, "--help") == 0
        assert "Usage: mcis" in capsys.readouterr().out
