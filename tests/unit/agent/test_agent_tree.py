"""A process tree as a machine: pure parts on golden /proc files."""

import json
import math
from pathlib import Path

import pytest

from mcisd.agent import scope, tree_probes
from mcisd.agent.gather import Gatherer
from mcisd.agent.probes.base import ProcFiles
from mcisd.agent.probes.own import Stats
from mcisd.agent.tree import LocalVm, Rising, Tree, bytes_under, load_vm, parse_io

GOLDEN = Path(__file__).parents[2] / "golden" / "agent" / "linux-3.10"


def vm(home: Path, init: int = 77) -> dict[str, object]:
    body: dict[str, object] = {"id": "vm-1", "name": "web", "init_pid": init, "vcpus": 2, "memory_mib": 512}
    return body | {"disk_gib": 1, "address": "127.1.1.1", "home": str(home), "booted_at": 1.7e9}


def tree(home: Path, init: int = 77) -> tuple[Tree, ProcFiles]:
    files = ProcFiles(f"{GOLDEN}/")
    files.start(10.0)
    return Tree(files, LocalVm(vm(home, init))), files


def test_members_are_the_root_and_all_below_it(tmp_path: Path) -> None:
    family, _ = tree(tmp_path)
    assert sorted(one.pid for one in family.members()) == [77, 78, 79]
    assert sum(one.user for one in family.members()) == 1000 + 30 + 10 + 7
    assert family.io() == (8292, 4296)


def test_a_root_that_ended_is_an_error(tmp_path: Path) -> None:
    family, _ = tree(tmp_path, init=4711)
    with pytest.raises(ValueError, match="4711"):
        family.members()


def test_io_of_a_text_that_is_none() -> None:
    with pytest.raises(KeyError):
        parse_io("")


def test_rising_holds_a_small_step_back_and_believes_a_lasting_one() -> None:
    rising = Rising()
    assert [rising.add(value) for value in (100, 110, 105, 112)] == [0, 10, 10, 12]
    for _ in range(6):
        assert rising.add(50) == 12
    assert rising.add(53) == 15


def test_shares_never_pass_the_whole() -> None:
    assert tree_probes.shares(50, 10, 200) == [25, 5, 70, 30]
    user, system, idle, active = tree_probes.shares(300, 100, 200)
    assert (user, system, idle, active) == (75, 25, 0, 100)


def test_damped_load_nears_the_number_of_runnable_processes() -> None:
    loads = [0.0, 0.0, 0.0]
    for _ in range(30):
        loads = tree_probes.damped(loads, 4.0, 2.0)
    assert loads == [pytest.approx(4 * (1 - math.exp(-60 / span))) for span in (60, 300, 900)]


def test_bytes_under_counts_blocks_and_stops(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "big").write_bytes(b"x" * 100_000)
    assert bytes_under(str(tmp_path)) >= 98304
    assert bytes_under(str(tmp_path), most=1) < 98304
    assert bytes_under(str(tmp_path / "gone")) == 0


def test_the_scope_of_a_local_vm_has_the_measurements_of_a_machine(tmp_path: Path) -> None:
    (tmp_path / "vm.json").write_text(json.dumps(vm(tmp_path)))
    files = ProcFiles(f"{GOLDEN}/")
    files.start(10.0)
    stats = Stats()
    probes = scope.probes({scope.VARIABLE: str(tmp_path / "vm.json")}, files, stats)
    gatherer = Gatherer(files, probes, stats)
    gatherer.gather(20.0, True)
    values = gatherer.gather(22.0, True)
    files.close()
    assert stats.gather_errors == 0
    columns = json.loads(gatherer.schema.message[5:])["columns"]
    table = {(column[0], column[1]): value for column, value in zip(columns, values, strict=True)}
    host = {probe.measurement for probe in scope.probes({}, files, stats)}
    assert {column[0] for column in columns} == host
    assert table["mem", "used"] == 3000 * 4096
    assert table["processes", "total"] == 3
    assert table["cpu", "usage_active"] == 0
    assert table["disk", "total"] == 2**30


def test_a_description_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vm.json").write_text("[]")
    with pytest.raises(ValueError, match="not a JSON object"):
        load_vm(str(tmp_path / "vm.json"))
