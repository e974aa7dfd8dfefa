"""Whom the agent calls: in order, round and round, remembered over a restart, whatever stands in the file."""

from pathlib import Path

import pytest

from mcisd.agent.servers import MOST, Servers, checked
from mcisd.model.wire import WireError

HOME = [("home", 1), ("spare", 2)]


def order(servers: Servers, count: int) -> list[str]:
    """The next hosts that would be called."""
    found = []
    for _ in range(count):
        found.append(servers.current[0])
        servers.next()
    return found


def test_the_configured_ones_are_called_in_turn(tmp_path: Path) -> None:
    assert order(Servers(str(tmp_path / "servers"), HOME), 3) == ["home", "spare", "home"]


def test_those_told_of_come_first_and_the_present_one_stays(tmp_path: Path) -> None:
    servers = Servers(str(tmp_path / "servers"), HOME)
    servers.learn([["a", 1], ["home", 1], ["b", 1]])
    assert order(servers, 5) == ["home", "a", "b", "spare", "home"]
    again = Servers(str(tmp_path / "servers"), HOME)
    assert order(again, 4) == ["home", "a", "b", "spare"]


def test_sent_elsewhere_it_calls_the_first_there(tmp_path: Path) -> None:
    servers = Servers(str(tmp_path / "servers"), HOME)
    servers.next()
    servers.go([["b", 1], ["a", 1], ["b", 1]])
    assert order(servers, 4) == ["b", "a", "home", "spare"]


def test_a_torn_file_is_as_good_as_none_and_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "servers"
    path.write_text('[["a", 1')
    assert order(Servers(str(path), HOME), 2) == ["home", "spare"]
    nowhere = Servers(str(tmp_path / "missing" / "servers"), HOME)
    nowhere.learn([["a", 1]])
    assert order(nowhere, 4) == ["home", "a", "spare", "home"]


@pytest.mark.parametrize(
    "told",
    [None, "a", [["a"]], [["a", 0]], [["a", 70_000]], [["a", "1"]], [["", 1]], [[1, 1]], [["a", 1]] * (MOST + 1)],
)
def test_what_is_no_list_of_servers_is_refused(told: object, tmp_path: Path) -> None:
    with pytest.raises(WireError):
        checked(told)
    servers = Servers(str(tmp_path / "servers"), HOME)
    with pytest.raises(WireError):
        servers.go(told)
    assert servers.current == HOME[0]
    assert not (tmp_path / "servers").exists()


def test_moved_to_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WireError, match="nowhere"):
        Servers(str(tmp_path / "servers"), HOME).go([])
