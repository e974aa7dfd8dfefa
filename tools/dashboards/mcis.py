"""One MCIS: how its VMs do, side by side. Out: one dashboard."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as d

from tools.dashboards import flux, panels
from tools.dashboards.flux import chosen, course, equal, mean, newest
from tools.dashboards.pages import Panels, one_vm, page
from tools.dashboards.panels import FULL

OURS = chosen("ns", "infra")
TOTAL = equal("cpu", "cpu-total")
HOST = ["host"]


def dashboard() -> d.Dashboard:
    """MCIS."""
    rows = {"Now": _now(), "CPU and memory": _busy(), "Disks": _disks(), "Network": _network()}
    about = "The VMs of one MCIS side by side."
    return page("mcisd-mcis", "mcisd: MCIS", about, ["ns", "infra"], rows)


def _now() -> Panels:
    reporting = newest("system", ["uptime"], OURS)
    cpu = newest("cpu", ["usage_active"], [TOTAL, *OURS])
    memory = newest("mem", ["used_percent"], OURS)
    disk = newest("disk", ["used_percent"], OURS)
    cores = newest("system", ["n_cpus"], OURS)
    load = newest("system", ["load1"], OURS)
    return [
        panels.number("VMs reporting", flux.how_many(reporting)),
        panels.number("CPU, average", flux.one_number(cpu, "mean"), unit="percent", colors=FULL),
        panels.number("Memory, average", flux.one_number(memory, "mean"), unit="percent", colors=FULL),
        panels.number("Fullest disk", flux.one_number(disk, "max"), unit="percent", colors=FULL),
        panels.number("Cores", flux.one_number(cores, "sum")),
        panels.number("Load, sum", flux.one_number(load, "sum"), about="Compare it with the number of cores."),
        _last_values(),
    ]


def _last_values() -> Builder[d.Panel]:
    columns = {
        "CPU": newest("cpu", ["usage_active"], [TOTAL, *OURS]),
        "memory": newest("mem", ["used_percent"], OURS),
        "swap": newest("swap", ["used_percent"], OURS),
        "fullest disk": newest("disk", ["used_percent"], OURS),
        "load": newest("system", ["load1"], OURS),
        "net in": newest("net", ["bytes_recv_rate"], OURS),
        "net out": newest("net", ["bytes_sent_rate"], OURS),
        "disk read": newest("diskio", ["read_bytes_rate"], OURS),
        "disk write": newest("diskio", ["write_bytes_rate"], OURS),
        "up for": newest("system", ["uptime"], OURS),
    }
    shares = dict.fromkeys(("CPU", "memory", "swap", "fullest disk"), FULL)
    return panels.table(
        "Last values",
        flux.table(columns, ["host"]),
        units=dict.fromkeys(shares, "percent")
        | dict.fromkeys(("net in", "net out", "disk read", "disk write"), "Bps")
        | {"up for": "s"},
        colors=shares,
        links={"host": one_vm("${ns}", "${infra}")},
    )


def _busy() -> Panels:
    return [
        panels.lines("CPU", mean("cpu", ["usage_active"], [TOTAL, *OURS], by=HOST), unit="percent", top=100),
        panels.lines("Memory used", mean("mem", ["used_percent"], OURS, by=HOST), unit="percent", top=100),
        panels.lines("Load, last minute", mean("system", ["load1"], OURS, by=HOST)),
        panels.lines("Swap used", mean("swap", ["used_percent"], OURS, by=HOST), unit="percent", top=100),
    ]


def _disks() -> Panels:
    place, device = "${__field.labels.host} ${__field.labels.path}", "${__field.labels.host} ${__field.labels.name}"
    read, written = ["read_bytes_rate"], ["write_bytes_rate"]
    return [
        panels.lines(
            "Space used",
            course("disk", ["used_percent"], OURS, by=["host", "path"]),
            unit="percent",
            name=place,
            top=100,
        ),
        panels.lines(
            "Disk busy", mean("diskio", ["io_util"], OURS, by=["host", "name"]), unit="percent", name=device, top=100
        ),
        panels.lines("Read", mean("diskio", read, OURS, by=["host", "name"]), unit="Bps", name=device),
        panels.lines("Written", mean("diskio", written, OURS, by=["host", "name"]), unit="Bps", name=device),
    ]


def _network() -> Panels:
    link = "${__field.labels.host} ${__field.labels.interface}"
    every = ["host", "interface"]
    return [
        panels.lines("Received", mean("net", ["bytes_recv_rate"], OURS, by=every), unit="Bps", name=link),
        panels.lines("Sent", mean("net", ["bytes_sent_rate"], OURS, by=every), unit="Bps", name=link),
    ]
