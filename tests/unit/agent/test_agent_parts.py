"""Settings, sequence numbers, schedule, name look-up: small parts one by one."""

import json
import select
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.agent import config
from mcisd.agent.main import main
from mcisd.agent.resolve import Lookup, numeric
from mcisd.agent.schedule import Schedule
from mcisd.agent.sequence import BLOCK, Sequence

GOOD: dict[str, object] = {
    "vm": "vm-1",
    "token": "very-secret",
    "servers": [["10.0.0.1", 7443]],
    "ca": "ca.pem",
    "server_name": "collector.mcisd",
}


def written(folder: Path, body: object, mode: int = 0o600) -> str:
    path = folder / "agent.json"
    path.touch(mode)
    path.chmod(mode)
    path.write_text(json.dumps(body))
    return str(path)


def test_config_takes_defaults_and_paths_beside_it(tmp_path: Path) -> None:
    loaded = config.load(written(tmp_path, GOOD))
    assert loaded.servers == [("10.0.0.1", 7443)]
    assert (loaded.interval_ms, loaded.spool_max_bytes, loaded.spool_max_age_s) == (2000, 64 << 20, 86400)
    assert loaded.ca == str(tmp_path / "ca.pem")
    assert loaded.spool_dir == str(tmp_path / "spool")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"vm": ""}, "vm"),
        ({"tokens": "x"}, "tokens"),
        ({"servers": [["h"]]}, "servers"),
        ({"servers": [["h", 70000]]}, "servers"),
        ({"servers": "h:1"}, "servers"),
        ({"interval_ms": 1}, "interval_ms"),
        ({"interval_ms": True}, "interval_ms"),
        ({"spool_max_bytes": "much"}, "spool_max_bytes"),
    ],
)
def test_config_names_the_wrong_field_and_never_the_token(
    tmp_path: Path, change: dict[str, object], names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", written(tmp_path, GOOD | change)]) == 1
    said = capsys.readouterr().err
    assert names in said
    assert "very-secret" not in said
    assert said.count("\n") == 1


def test_config_that_others_may_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", written(tmp_path, GOOD, 0o644)]) == 1
    assert "chmod 600" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--config"], ["--token", "x"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert "usage" in capsys.readouterr().err


def test_sequence_grows_over_restarts_and_a_clock_set_back(tmp_path: Path) -> None:
    path = str(tmp_path / "sequence")
    first = Sequence(path, 5000)
    numbers = [first.take() for _ in range(BLOCK + 5)]
    assert numbers == list(range(5000, 5000 + BLOCK + 5))
    second = Sequence(path, 10)  # the clock is an hour back, and the process was killed
    numbers.append(second.take())
    second.above(10**6)
    numbers.append(second.take())
    numbers.append(Sequence(path, 10, above=2 * 10**6).take())
    assert numbers == sorted(set(numbers))


def test_sequence_goes_on_without_a_disk(tmp_path: Path) -> None:
    sequence = Sequence(str(tmp_path / "none" / "sequence"), 7)
    assert [sequence.take(), sequence.take(), sequence.take()] == [7, 8, 9]


@given(st.text(min_size=1, max_size=20), st.integers(100, 60000), st.integers(0, 2**42))
def test_ticks_are_on_the_phase_of_the_vm_and_never_two_in_a_slot(vm: str, interval: int, wall: int) -> None:
    schedule = Schedule(vm, interval)
    wait = schedule.wait_ms(wall)
    assert interval / 8 <= wait + interval / 8 + 1e-6 <= 1.25 * interval + 1e-6
    assert (wall + wait - schedule.phase_ms) % interval == 0
    after = schedule.wait_ms(wall + wait - interval / 10)  # fired a little early
    assert after > interval


def test_numeric_addresses_need_no_look_up() -> None:
    found = numeric("127.0.0.1", 80)
    assert found is not None
    assert found[1] == ("127.0.0.1", 80)
    assert numeric("::1", 80) is not None
    assert numeric("collector.example", 80) is None


def test_a_name_is_looked_up_beside_the_loop() -> None:
    lookup = Lookup("localhost")
    assert select.select([lookup.fileno()], [], [], 5)[0], "an answer within five seconds"
    assert lookup.result() in ("127.0.0.1", "::1")
    lookup.close()


@given(st.text(min_size=1), st.integers(100, 3_600_000), st.integers(0, 10**9), st.floats(-0.12, 0.12))
def test_a_round_near_its_tick_bears_the_ticks_time(vm: str, interval: int, number: int, off: float) -> None:
    schedule = Schedule(vm, interval)
    tick = number * interval + schedule.phase_ms
    assert schedule.stamp(tick + off * interval) == tick


@given(st.text(min_size=1), st.integers(100, 3_600_000), st.integers(0, 10**9), st.floats(0.13, 0.87))
def test_a_round_far_from_any_tick_bears_its_own_time(vm: str, interval: int, number: int, off: float) -> None:
    schedule = Schedule(vm, interval)
    wall = number * interval + schedule.phase_ms + off * interval
    assert schedule.stamp(wall) == int(wall)
