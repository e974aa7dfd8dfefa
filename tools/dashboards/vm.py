"""One VM: everything its agent measures. Out: one dashboard."""

from grafana_foundation_sdk.models import dashboard as d

from tools.dashboards import flux, panels
from tools.dashboards.flux import chosen, course, equal, mean, newest
from tools.dashboards.pages import Panels, page
from tools.dashboards.panels import FULL, PLAIN

OURS = chosen("ns", "infra", "host")
TOTAL = equal("cpu", "cpu-total")
FIELD = "${__field.name}"
MODES = ["user", "system", "nice", "iowait", "irq", "softirq", "steal"]


def dashboard() -> d.Dashboard:
    """VM."""
    rows = {
        "Now": _now(),
        "CPU": _cpu(),
        "Memory": _memory(),
        "Disks": _disks(),
        "Network": _network(),
        "Processes and kernel": _processes(),
        "Agent": _agent(),
    }
    about = "One VM: everything its agent measures."
    return page("mcisd-vm", "mcisd: VM", about, ["ns", "infra", "host"], rows)


def _now() -> Panels:
    def last(measurement: str, field: str, function: str = "max", where: tuple[str, ...] = ()) -> str:
        return flux.one_number(newest(measurement, [field], [*where, *OURS]), function)

    return [
        panels.number("CPU", last("cpu", "usage_active", where=(TOTAL,)), unit="percent", colors=FULL),
        panels.number("Memory", last("mem", "used_percent"), unit="percent", colors=FULL),
        panels.number("Fullest disk", last("disk", "used_percent"), unit="percent", colors=FULL),
        panels.number("Load, last minute", last("system", "load1")),
        panels.number("Cores", last("system", "n_cpus"), colors=PLAIN),
        panels.number("Up for", last("system", "uptime"), unit="s", colors=PLAIN),
    ]


def _cpu() -> Panels:
    modes = mean("cpu", [f"usage_{mode}" for mode in MODES], [TOTAL, *OURS], by=[])
    cores = mean("cpu", ["usage_active"], ['r.cpu != "cpu-total"', *OURS], by=["cpu"])
    peak = course("cpu", ["usage_active:max"], [TOTAL, *OURS], by=[], step="max")
    average = mean("cpu", ["usage_active"], [TOTAL, *OURS], by=[])
    load = mean("system", ["load1", "load5", "load15"], OURS, by=[])
    return [
        panels.lines("CPU by mode", modes, unit="percent", name=FIELD, stacked=True, top=100),
        panels.lines("CPU, average and peak", average, peak, unit="percent", name=FIELD, top=100,
                     about="The peak is the busiest single measurement, every two seconds by default."),
        panels.lines("CPU by core", cores, unit="percent", name="${__field.labels.cpu}", top=100),
        panels.lines("Load", load, course("system", ["n_cpus"], OURS, by=[]), name=FIELD),
    ]  # fmt: skip


def _memory() -> Panels:
    parts = mean("mem", ["used", "available"], OURS, by=[])
    kernel = mean("mem", ["cached", "buffered", "slab", "dirty", "shared"], OURS, by=[])
    return [
        panels.lines(
            "Memory over time", parts, unit="bytes", name=FIELD, stacked=True, about="Used and available are the total."
        ),
        panels.lines("What memory is used for", kernel, unit="bytes", name=FIELD),
        panels.lines("Swap", mean("swap", ["used", "free"], OURS, by=[]), unit="bytes", name=FIELD, stacked=True),
        panels.lines("Swapped", mean("swap", ["in_rate", "out_rate"], OURS, by=[]), unit="Bps", name=FIELD),
    ]


def _disks() -> Panels:
    path, device = "${__field.labels.path}", "${__field.labels.name}"
    both = "${__field.labels.name} ${__field.name}"
    done = ["reads_rate", "writes_rate"]
    space = course("disk", ["used_percent"], OURS, by=["path"])
    inodes = course("disk", ["inodes_used_percent"], OURS, by=["path"])
    return [
        panels.lines("Space used", space, unit="percent", name=path, top=100),
        panels.lines("Inodes used", inodes, unit="percent", name=path, top=100),
        panels.lines(
            "Throughput",
            mean("diskio", ["read_bytes_rate", "write_bytes_rate"], OURS, by=["name"]),
            unit="Bps",
            name=both,
        ),
        panels.lines("Operations", mean("diskio", done, OURS, by=["name"]), unit="iops", name=both),
        panels.lines(
            "Busy", mean("diskio", ["io_util"], OURS, by=["name"]), unit="percent", name=device, top=100
        ),
        panels.lines("Wait of an operation", mean("diskio", ["io_await"], OURS, by=["name"]), unit="ms", name=device),
    ]  # fmt: skip


def _network() -> Panels:
    name = "${__field.labels.interface} ${__field.name}"
    bad = [f"{what}_{way}_rate" for what in ("err", "drop") for way in ("in", "out")]
    return [
        panels.lines(title, mean("net", fields, OURS, by=["interface"]), unit=unit, name=name, width=8)
        for title, fields, unit in (
            ("Traffic", ["bytes_recv_rate", "bytes_sent_rate"], "Bps"),
            ("Packets", ["packets_recv_rate", "packets_sent_rate"], "pps"),
            ("Errors and drops", bad, "pps"),
        )
    ]


def _processes() -> Panels:
    states = ["running", "sleeping", "blocked", "idle", "stopped", "zombies"]
    kernel = ["context_switches_rate", "interrupts_rate", "processes_forked_rate"]
    return [
        panels.lines("Processes", course("processes", states, OURS, by=[]), name=FIELD, stacked=True, width=8),
        panels.lines("Threads", course("processes", ["total_threads"], OURS, by=[]), name=FIELD, width=8),
        panels.lines("Kernel", mean("kernel", kernel, OURS, by=[]), unit="ops", name=FIELD, width=8),
    ]


def _agent() -> Panels:
    lost = ["dropped_frames_rate", "gather_errors_rate", "reconnects_rate"]
    return [
        panels.lines("Memory of the agent", mean("mcisd_agent", ["rss_bytes"], OURS, by=[]), unit="bytes", name=FIELD,
                     width=6),
        panels.lines("CPU of the agent", mean("mcisd_agent", ["cpu_seconds_rate"], OURS, by=[]), unit="percentunit",
                     name=FIELD, width=6),
        panels.lines("Kept for later", course("mcisd_agent", ["spooled_frames"], OURS, by=[]), name=FIELD, width=6,
                     about="Frames on the VM's disk, because no collector could be reached."),
        panels.lines("Lost, errors, links lost", mean("mcisd_agent", lost, OURS, by=[]), unit="ops", name=FIELD,
                     width=6),
    ]  # fmt: skip
