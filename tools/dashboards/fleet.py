"""The whole installation: are all VMs there, do their agents report, which are in trouble. Out: one dashboard."""

from grafana_foundation_sdk.models import dashboard as d

from tools.dashboards import flux, own, panels
from tools.dashboards.flux import equal, newest
from tools.dashboards.pages import Panels, one_vm, page
from tools.dashboards.panels import BLUE, GREEN, NONE_WANTED, PLAIN, RED, YELLOW

TOTAL = equal("cpu", "cpu-total")
VM = 'r.ns + "/" + r.infra + "/" + r.host'


def dashboard() -> d.Dashboard:
    """Fleet."""
    return page(
        "mcisd-fleet",
        "mcisd: fleet",
        "All VMs of the installation: who is there, who is silent, who is busiest.",
        [],
        {"Now": _now(), "In trouble": _trouble(), "Busiest VMs now": _busiest(), "Over time": _over_time()},
    )


def _count(metric: str, *states: str) -> str:
    """VMs or agents in some states. One process at a time counts them: the newest count is the right one."""
    either = " or ".join(equal("state", state) for state in states)
    lines = ['    |> group(columns: ["state"])', '    |> sort(columns: ["_time"])', "    |> last()"]
    return flux.one_number("\n".join([own.latest(metric, f"({either})"), *lines]), "sum")


def _firing(severity: str) -> str:
    phase, level = own.tag("alarms", "phase"), own.tag("alarms", "severity")
    return flux.one_number(own.latest("alarms", equal(phase, "firing"), equal(level, severity)), "sum")


def _now() -> Panels:
    failed = _count("vms", "Failed", "Undefined")
    critical: panels.Step = (1.0, RED)
    return [
        panels.number("VMs running", _count("vms", "Running")),
        panels.number("VMs failed or undefined", failed, colors=NONE_WANTED),
        panels.number("VMs reporting", flux.how_many(newest("system", ["uptime"])), about="Samples arrived just now."),
        panels.number("Agents silent or failed", _count("agents", "silent", "failed"), colors=NONE_WANTED),
        panels.number("Critical alarms", _firing("critical"), colors=((None, GREEN), critical)),
        panels.number("Warnings", _firing("warning"), colors=((None, GREEN), (1.0, YELLOW))),
    ]


def _trouble() -> Panels:
    links = {"VM": one_vm("${__data.fields.ns}", "${__data.fields.infra}")}
    return [
        panels.table(
            "Silent VMs",
            _silent(),
            units={"silent for": "s"},
            links=links,
            width=14,
            about="Heard of in the time range, but not in its last 90 seconds. Suspended and terminated VMs "
            "are silent on purpose; they stay here until they are deleted or the time range has moved on.",
        ),
        panels.ranking(
            "Fullest disks",
            flux.ranking(newest("disk", ["used_percent"]), f'{VM} + " " + r.path', "used"),
            width=10,
        ),
    ]


def _silent() -> str:
    return "\n".join(
        [
            flux.NEWEST + "from(bucket: v.defaultBucket + suffix)",
            "    |> range(start: v.timeRangeStart, stop: v.timeRangeStop)",
            '    |> filter(fn: (r) => r._measurement == "system" and r._field == "uptime")',
            "    |> last()",
            "    |> filter(fn: (r) => r._time < date.sub(d: reach, from: v.timeRangeStop))",
            "    |> group()",
            f'    |> map(fn: (r) => ({{r with "silent for": {_AGE}}}))',
            '    |> rename(columns: {host: "VM", _time: "last heard"})',
            '    |> keep(columns: ["ns", "infra", "VM", "provider", "region", "last heard", "silent for"])',
            '    |> sort(columns: ["silent for"], desc: true)',
        ]
    )


_AGE = "float(v: int(v: v.timeRangeStop) - int(v: r._time)) / 1000000000.0"


def _busiest() -> Panels:
    sent = newest("net", ["bytes_sent_rate", "bytes_recv_rate"])
    summed = sent + '\n    |> group(columns: ["ns", "infra", "host"])\n    |> sum()'
    return [
        panels.ranking("CPU", flux.ranking(newest("cpu", ["usage_active"], [TOTAL]), VM, "CPU")),
        panels.ranking("Memory", flux.ranking(newest("mem", ["used_percent"]), VM, "memory")),
        panels.ranking(
            "Disk busy", flux.ranking(newest("diskio", ["io_util"]), f'{VM} + " " + r.name', "busy"),
            about="Share of the time in which the disk had something to do.",
        ),
        panels.ranking("Network", flux.ranking(summed, VM, "network"), unit="Bps", colors=PLAIN, top=None,
                       about="Sent and received, all interfaces."),
    ]  # fmt: skip


def _over_time() -> Panels:
    state = "${__field.labels.state}"
    vms = own.over_time("vms", by=[own.tag("vms", "state")], across="max")
    agents = own.over_time("agents", by=[own.tag("agents", "state")], across="max")
    region = "${__field.labels.provider} ${__field.labels.region}"
    cpu = flux.mean("cpu", ["usage_active"], [TOTAL, *CLOUD], by=["provider", "region"], merged=True)
    memory = flux.mean("mem", ["used_percent"], CLOUD, by=["provider", "region"], merged=True)
    return [
        panels.lines("VMs by state", vms, name=state, stacked=True),
        panels.lines("Agents of running VMs by state", agents, name=state, stacked=True),
        panels.lines("CPU by region, average of all VMs", cpu, unit="percent", name=region, top=100),
        panels.lines("Memory used by region, average of all VMs", memory, unit="percent", name=region, top=100),
        panels.table("VMs reporting by region", _regions(), colors={"VMs": ((None, BLUE),)}),
    ]


CLOUD = ["exists r.provider", "exists r.region"]
"""Series that say which cloud they come from."""


def _regions() -> str:
    lines = [
        '    |> group(columns: ["provider", "region"])',
        '    |> count(column: "_value")',
        "    |> group()",
        '    |> rename(columns: {_value: "VMs"})',
        '    |> sort(columns: ["provider", "region"])',
    ]
    return "\n".join([flux.NEWEST + newest("system", ["uptime"], CLOUD), *lines])
