"""What the CLI makes of texts: VM groups, pairs, files, values for people."""

import json
import time
from pathlib import Path

import click
import pytest

from mcisd.cli.live import LiveTable
from mcisd.cli.render import moment, number, print_json, print_table, printable, rate
from mcisd.cli.vmspec import pairs, read_json, vm_group


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("web@aws", {"name": "web", "count": 1, "connConfigName": "aws"}),
        ("web:3@aws-us-east-1", {"name": "web", "count": 3, "connConfigName": "aws-us-east-1"}),
        ("db:2@gcp:n2.big", {"name": "db", "count": 2, "connConfigName": "gcp", "specId": "n2.big"}),
        ("db@gcp:s:img:1", {"name": "db", "count": 1, "connConfigName": "gcp", "specId": "s", "imageId": "img:1"}),
        ("db@gcp::debian", {"name": "db", "count": 1, "connConfigName": "gcp", "imageId": "debian"}),
    ],
)
def test_a_group_of_vms(text: str, wanted: dict[str, object]) -> None:
    assert vm_group(text) == wanted


@pytest.mark.parametrize("text", ["", "web", "web:3", "web:x@aws", "Web@aws", "web@", "@aws"])
def test_what_is_no_group_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="for example"):
        vm_group(text)


def test_pairs() -> None:
    assert pairs(("a=1", "b=x=y"), "--label") == {"a": "1", "b": "x=y"}
    with pytest.raises(click.UsageError, match="--label 'a' is not KEY=VALUE"):
        pairs(("a",), "--label")


def test_request_files(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"name": "web"}))
    assert read_json(str(path)) == {"name": "web"}
    for content in ("[1]", "no json"):
        path.write_text(content)
        with pytest.raises(click.UsageError, match=r"request\.json"):
            read_json(str(path))
    with pytest.raises(click.UsageError, match="cannot be read"):
        read_json(str(tmp_path / "missing"))


def test_values_for_people() -> None:
    assert [number(None), number(1.25), number(3, 0)] == ["-", "1.2", "3"]
    assert [rate(None), rate(0), rate(999), rate(12_345), rate(3.4e9)] == [
        "-",
        "0 B/s",
        "999 B/s",
        "12 kB/s",
        "3.4 GB/s",
    ]
    assert moment(None) == "-"
    assert moment(time.time()) == time.strftime("%H:%M:%S")
    assert moment(86_400.0 * 3).startswith("1970-01-0")


def test_a_terminal_is_not_steered_by_strangers() -> None:
    assert printable("a\x1b[2Jb\r\x07") == "a\ufffd[2Jb\ufffd\ufffd"
    assert printable("é\tü\n") == "é\tü\n"


def test_tables_and_json_without_colour(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", ">VMS"), [("web", 3), ("\x1b[31mred", None)], empty="none")
    print_table(("NAME",), [], empty="none")
    print_json({"é": 1})
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "NAME" in out.splitlines()[0]
    assert out.splitlines()[-4:] == ["none", "{", '  "é": 1', "}"]


def vm(name: str, state: str = "Running") -> dict[str, str]:
    return {"name": name, "region": "r", "state": state}


def sample(name: str, at: float, **values: float) -> dict[str, object]:
    return {"vm": name, "time": at, "values": values}


def test_the_live_table_is_complete_when_every_running_vm_has_spoken() -> None:
    view = LiveTable("web", [vm("a"), vm("b"), vm("c", "Suspended")])
    view.take(sample("a", 1.0))
    assert not view.complete
    view.take(sample("b", 1.0))
    assert view.complete


def test_network_counters_become_rates() -> None:
    from mcisd.cli.live import _between

    before, now = {"net.bytes_recv": 100.0, "net.bytes_sent": 500.0}, {"net.bytes_recv": 300.0, "net.bytes_sent": 5.0}
    found = _between({"time": 2.0, "values": before}, {"time": 4.0, "values": now})
    assert found == {"net.bytes_recv": 100.0}
