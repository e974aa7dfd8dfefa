"""The daemon itself: is it well, does it keep up, what does it lose. Out: one dashboard.

What is declared in mcisd/daemon/telemetry.py and has no panel of its own gets one in the last row.
"""

import re

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as d

from mcisd.daemon.telemetry import DECLARED
from mcisd.model.samples import COUNTER
from tools.dashboards import flux, own, panels
from tools.dashboards.flux import chosen
from tools.dashboards.pages import Panels, page
from tools.dashboards.panels import GREEN, NONE_WANTED, PLAIN, YELLOW

OURS = [own_process.replace("r.process", "r.host") for own_process in chosen("process")]
ELSEWHERE = ("vms", "agents", "alarms", "alarm_total")
"""Metrics that other dashboards draw."""


def dashboard() -> d.Dashboard:
    """Daemon."""
    rows = {"Now": _now(), "Samples": _samples(), "Keeping up": _keeping_up(), "Processes": _processes()}
    drawn = {metric for metric in DECLARED if re.search(rf'"{metric}"', _queries(rows))}
    rows["More"] = [_more(metric) for metric in DECLARED if metric not in drawn and metric not in ELSEWHERE]
    about = "The processes of the daemon: samples per second, what lags, what is lost, what they use."
    return page("mcisd-daemon", "mcisd: daemon", about, ["process"], rows)


def _queries(rows: dict[str, Panels]) -> str:
    """The text of all queries so far."""
    every = [target for row in rows.values() for panel in row for target in panel.build().targets or []]
    return "\n".join(target.text for target in every if isinstance(target, panels.FluxQuery))


def _now() -> Panels:
    def newest(metric: str, function: str = "sum") -> str:
        return flux.one_number(own.latest(metric, *OURS), function)

    behind: tuple[panels.Step, ...] = ((None, GREEN), (10_000.0, YELLOW))
    down = "\n".join(
        [
            flux.NEWEST + own.latest("service_up", *OURS),
            "    |> group()",
            '    |> filter(fn: (r) => r._value < 1.0, onEmpty: "keep")',
            "    |> count()",
            '    |> keep(columns: ["_value"])',
        ]
    )
    return [
        panels.number("Processes", newest("up"), colors=PLAIN),
        panels.number("Agents linked", newest("agent_links"), colors=PLAIN),
        panels.number("Samples per second", _rate_now("agent_samples_total"), unit="cps", colors=PLAIN),
        panels.number("Services down", down, colors=NONE_WANTED),
        panels.number("Farthest behind on the bus", newest("bus_lag", "max"), colors=behind, about="Messages."),
        panels.number("Points rejected", newest("write_rejected_total"), colors=NONE_WANTED,
                      about="Since the processes started: points that the series store will never take."),
    ]  # fmt: skip


def _rate_now(metric: str) -> str:
    """How fast a counter grew in the last two minutes, all processes together."""
    lines = [
        "    |> derivative(unit: 1s, nonNegative: true)",
        "    |> last()",
        "    |> group()",
        "    |> sum()",
        '    |> keep(columns: ["_value"])',
    ]
    return "\n".join([flux.NEWEST + own.latest(metric, *OURS).replace("\n    |> last()", ""), *lines])


def _samples() -> Panels:
    what = own.tag("write_total", "what")
    fate = own.tag("agent_frames_by_fate_total", "fate")
    reason = own.tag("write_rejected_total", "reason")
    samples = own.over_time("agent_samples_total", *OURS, per_second=True)
    written = own.over_time("write_total", *OURS, by=[what], across="sum", per_second=True)
    fates = own.over_time("agent_frames_by_fate_total", *OURS, by=[fate], across="sum", per_second=True)
    rejected = own.over_time("write_rejected_total", *OURS, by=["host", reason], per_second=True)
    return [
        panels.lines("Samples per second by collector", samples, unit="cps", stacked=True),
        panels.lines("Agents linked by collector", own.over_time("agent_links", *OURS), stacked=True),
        panels.lines("Frames and links by what became of them", fates, unit="cps", name=f"${{__field.labels.{fate}}}"),
        panels.lines("From the bus to the series store", written, unit="cps", name=f"${{__field.labels.{what}}}",
                     about="failures: attempts that the store refused, they are tried again. unknown_schema and "
                     "bad_frames are lost."),
        panels.lines("Points rejected by the series store", rejected, unit="cps",
                     name=f"${{__field.labels.host}} ${{__field.labels.{reason}}}"),
        panels.lines("Lost elsewhere", *(own.over_time(metric, *OURS, per_second=True) for metric in (
                     "link_news_dropped_total", "calls_dropped_total", "control_refused_total")), unit="cps",
                     name="${__field.labels.host} ${__field.name}"),
    ]  # fmt: skip


def _keeping_up() -> Panels:
    reader = ["host", "topic", "reader"]
    name = "${__field.labels.host} ${__field.labels.topic} ${__field.labels.reader}"
    return [
        panels.lines("Behind on the bus", own.over_time("bus_lag", *OURS, by=reader, step="max"), name=name,
                     about="Messages that a reader has before it. A line that grows wants more such processes."),
        panels.lines("Lost to slow readers", own.over_time("bus_dropped_total", *OURS, by=reader, per_second=True),
                     unit="cps", name=name),
    ]  # fmt: skip


def _processes() -> Panels:
    service = own.tag("service_up", "service")
    cpu = own.over_time("process_cpu_seconds_total", *OURS, per_second=True)
    both = f"${{__field.labels.host}} ${{__field.labels.{service}}}"
    up = own.over_time("service_up", *OURS, by=["host", service], step="min")
    failures = own.over_time("service_failures_total", *OURS, by=["host", service], per_second=True)
    roles = own.over_time("nodes", by=[own.tag("nodes", "role")], across="max")
    return [
        panels.lines("CPU by process", cpu, unit="percentunit", about="1 is a whole core."),
        panels.lines("Memory by process", own.over_time("process_resident_bytes", *OURS), unit="bytes"),
        panels.lines("Services that run", up, name=both, top=1),
        panels.lines("Failures of services", failures, unit="cps", name=both),
        panels.lines("Living processes by role", roles, name=f"${{__field.labels.{own.tag('nodes', 'role')}}}"),
        panels.lines("Leases held", own.over_time("leases_held", *OURS), about="Pieces of work that are a process's."),
        panels.lines("Up for", own.over_time("uptime_seconds", *OURS), unit="s"),
        panels.lines("Open files", own.over_time("process_open_fds", *OURS)),
    ]


def _more(metric: str) -> Builder[d.Panel]:
    declared = DECLARED[metric]
    counts = declared.kind == COUNTER
    by = ["host", *(own.tag(metric, label) for label in declared.labels)]
    name = " ".join(f"${{__field.labels.{label}}}" for label in by)
    query = own.over_time(metric, *OURS, by=by, per_second=counts)
    title = metric.removesuffix("_total").replace("_", " ").capitalize()
    return panels.lines(title, query, unit="cps" if counts else "short", name=name, about=declared.help, width=8)
