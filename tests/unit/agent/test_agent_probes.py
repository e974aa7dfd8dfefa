"""Every probe on the /proc of two machines: an old kernel with LVM and swap, a new one with NVMe and containers."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcisd.agent import scope
from mcisd.agent.gather import Gatherer
from mcisd.agent.probes import cpu, disk, diskio, kernel, load, mem, net, processes, swap
from mcisd.agent.probes.base import ProcFiles
from mcisd.agent.probes.own import Stats

if TYPE_CHECKING:
    from mcisd.agent.probes.base import Probe

GOLDEN = Path(__file__).parents[2] / "golden" / "agent"
Row = tuple[dict[str, str], list[float]]


def files(machine: str) -> ProcFiles:
    opened = ProcFiles(f"{GOLDEN / machine}/")
    opened.start(1000.0)
    return opened


def named(probe: "Probe", row: Row) -> dict[str, float]:
    return {field: value for (field, _), value in zip(probe.fields, row[1], strict=True)}


def only(probe: "Probe") -> dict[str, float]:
    rows = probe.read(True)
    assert len(rows) == 1
    return named(probe, rows[0])


@pytest.mark.parametrize(
    ("machine", "expected"),
    [("linux-3.10", [0.52, 0.41, 0.30, 2, 1234567]), ("linux-6.8", [3.99, 2.5, 1.25, 4, 61])],
)
def test_load(machine: str, expected: list[float]) -> None:
    assert load.LoadProbe(files(machine)).read(True) == [({}, expected)]


def test_cpu_between_two_readings() -> None:
    before = [100000, 2000, 50000, 800000, 3000, 100, 900, 400, 600, 50]
    after = [100050, 2010, 50020, 800110, 3005, 100, 905, 400, 620, 55]
    # 200 ticks in all: user 50 of which guest 20, nice 10 of which guest 5, system 20, idle 110, iowait 5, softirq 5
    assert cpu.usage(before, after) == [15, 2.5, 10, 55, 2.5, 0, 2.5, 0, 10, 2.5, 45]


def test_cpu_of_no_time_and_of_a_counter_that_steps_back() -> None:
    ticks = [10, 0, 10, 100, 5, 0, 0, 0, 0, 0]
    assert all(math.isnan(value) for value in cpu.usage(ticks, ticks))
    assert cpu.usage(ticks, [20, 0, 10, 190, 3, 0, 0, 0, 0, 0])[:5] == [10, 0, 0, 90, 0]


def test_cpu_rows_and_the_base_a_measurement_on_demand_does_not_move(tmp_path: Path) -> None:
    stat = tmp_path / "proc" / "stat"
    stat.parent.mkdir()
    stat.write_text("cpu  100 0 0 100\ncpu0 100 0 0 100\nintr 1 2\n")
    proc = ProcFiles(f"{tmp_path}/")
    probe = cpu.CpuProbe(proc)
    assert [math.isnan(row[1][0]) for row in probe.read(True)] == [True, True]
    for tick in (False, False, True):  # an old kernel has four columns only
        stat.write_text("cpu  150 0 0 150\ncpu0 150 0 0 150\nintr 1 2\n")
        proc.start(1.0)
        rows = probe.read(tick)
        assert [row[0] for row in rows] == [{"cpu": "cpu-total"}, {"cpu": "cpu0"}]
        assert named(probe, rows[0])["usage_active"] == 50
    proc.close()


def test_mem_of_an_old_kernel_estimates_what_is_available() -> None:
    values = only(mem.MemProbe(files("linux-3.10")))
    assert values["total"] == 1883724 * 1024
    assert values["cached"] == 1000000 * 1024
    assert values["available"] == (120000 + 2000 + 1000000) * 1024
    assert values["used"] == values["total"] - values["available"]
    assert values["huge_pages_free"] == 3


def test_mem_of_a_new_kernel() -> None:
    values = only(mem.MemProbe(files("linux-6.8")))
    assert (values["used_percent"], values["available_percent"]) == (25.0, 75.0)
    assert (values["dirty"], values["write_back"]) == (100 * 1024, 4096)
    assert values["swap_total"] == 0


def test_mem_tells_nothing_about_what_is_not_there() -> None:
    row = mem.parse("MemTotal: 10 kB\nMemFree: 5 kB\nMemAvailable: 6 kB\nBuffers: 0 kB\nCached: 1 kB\n")
    values = {field: value for (field, _), value in zip(mem.FIELDS, row, strict=True)}
    assert math.isnan(values["slab"])
    with pytest.raises(KeyError):
        mem.parse("")


def test_swap() -> None:
    values = only(swap.SwapProbe(files("linux-3.10")))
    assert values["used"] == 524287 * 1024
    assert values["used_percent"] == pytest.approx(25.0, abs=0.01)
    assert values["in"] * 2500 == values["out"] * 150
    assert swap.parse("SwapTotal: 0 kB\nSwapFree: 0 kB\n", "pgpgin 1\n", 4096)[:4] == [0, 0, 0, 0]


def test_disk_takes_local_file_systems_once() -> None:
    old = disk.parse(files("linux-3.10").text("proc/self/mountinfo"))
    assert old == [
        {"path": "/", "device": "mapper/centos-root", "fstype": "xfs", "mode": "rw"},
        {"path": "/boot", "device": "sda1", "fstype": "xfs", "mode": "ro"},
    ]
    new = disk.parse(files("linux-6.8").text("proc/self/mountinfo"))
    assert [(one["path"], one["device"]) for one in new] == [("/", "nvme0n1p1"), ("/mnt/my pool", "tank/data")]
    assert disk.parse("27 1 0:30 / / rw - overlay overlay rw\n")[0]["path"] == "/"


def test_disk_figures_are_those_of_telegraf() -> None:
    # the recorded sample of a real Telegraf: used 33517395968, free 64275898368, used_percent 34.27371600024058
    size = 4096
    total, used, free = 270553174016, 33517395968, 64275898368
    values = disk.figures(total // size, (total - used) // size, free // size, size, 16777216, 15906521)
    assert values[:3] == [total, free, used]
    assert values[3] == pytest.approx(34.27371600024058)
    assert values[6:] == [870695, pytest.approx(5.189746618270874)]


def test_diskio_takes_whole_devices_only() -> None:
    probe = diskio.DiskIoProbe(files("linux-3.10"))
    rows = probe.read(True)
    assert [row[0]["name"] for row in rows] == ["sda", "dm-0"]
    values = named(probe, rows[0])
    assert (values["reads"], values["read_bytes"], values["write_bytes"]) == (1000, 40000 * 512, 80000 * 512)
    assert (values["iops_in_progress"], values["io_time"]) == (1, 900)
    assert math.isnan(values["io_util"])
    assert [row[0]["name"] for row in diskio.DiskIoProbe(files("linux-6.8")).read(True)] == ["nvme0n1"]


def test_diskio_rates() -> None:
    before = [100.0, 0, 0, 50, 100, 0, 0, 150, 0, 1000, 0]
    after = [150.0, 0, 0, 100, 150, 0, 0, 300, 0, 1500, 0]
    assert diskio.rates(before, after, 2.0) == [25.0, 2.0, 5.0]
    assert all(math.isnan(value) for value in diskio.rates(after, before, 2.0))


def test_net() -> None:
    old = net.NetProbe(files("linux-3.10"))
    rows = old.read(True)
    assert [row[0] for row in rows] == [{"interface": "eth0"}]
    assert rows[0][1] == [1234567890, 987654, 1, 2, 987654321, 876543, 3, 4, -1]
    new = net.NetProbe(files("linux-6.8"))
    assert [(row[0]["interface"], named(new, row)["speed"]) for row in new.read(True)] == [
        ("ens5", 10000),
        ("docker0", -1),
    ]


def test_processes_by_state() -> None:
    values = only(processes.ProcessesProbe(files("linux-3.10")))
    assert (values["running"], values["sleeping"], values["blocked"], values["zombies"]) == (1, 2, 1, 1)
    assert (values["total"], values["total_threads"]) == (5, 8)
    values = only(processes.ProcessesProbe(files("linux-6.8")))
    assert (values["idle"], values["stopped"], values["unknown"], values["total_threads"]) == (1, 1, 1, 4)


def test_kernel_reads_across_a_long_interrupt_line() -> None:
    values = only(kernel.KernelProbe(files("linux-6.8")))
    assert values == {"boot_time": 1795259305, "context_switches": 9e6, "interrupts": 5e6, "processes_forked": 4242}
    assert all(math.isnan(value) for value in kernel.parse(""))


@pytest.mark.parametrize("machine", ["linux-3.10", "linux-6.8"])
def test_all_together_and_no_file_left_open(machine: str) -> None:
    opened = files(machine)
    stats = Stats()
    gatherer = Gatherer(opened, scope.probes({}, opened, stats), stats)
    values = gatherer.gather(1.0, True)
    opened.close()
    assert stats.gather_errors == 0
    assert len(values) == gatherer.schema.width > 60


def test_a_failing_probe_is_counted_and_does_not_stop_the_others(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "meminfo").write_text((GOLDEN / "linux-6.8" / "proc" / "meminfo").read_text())
    (proc / "vmstat").write_text("pgpgin 1\npswpin 0\npswpout 0\n")
    opened = ProcFiles(f"{tmp_path}/")
    stats = Stats()
    gatherer = Gatherer(opened, [mem.MemProbe(opened), swap.SwapProbe(opened)], stats)
    gatherer.gather(1.0, True)
    schema = gatherer.schema
    (proc / "meminfo").write_text("nonsense: x kB\n")
    values = gatherer.gather(2.0, True)
    assert gatherer.schema is schema, "a failure is no new schema"
    assert stats.gather_errors == 2
    assert len(values) == schema.width
    assert all(math.isnan(value) for value in values)
    opened.close()


def test_the_schema_id_follows_from_the_columns_alone() -> None:
    opened = files("linux-6.8")
    first = Gatherer(opened, [net.NetProbe(opened)], Stats())
    second = Gatherer(opened, [net.NetProbe(opened)], Stats())
    first.gather(1.0, True)
    second.gather(2.0, True)
    assert first.schema.id == second.schema.id
    opened.close()
