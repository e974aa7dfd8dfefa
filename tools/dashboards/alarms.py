"""Alarms: what fires now, and how it came to that. Out: one dashboard."""

from grafana_foundation_sdk.models import dashboard as d

from mcisd.daemon.telemetry import DECLARED
from tools.dashboards import flux, own, panels
from tools.dashboards.flux import equal
from tools.dashboards.pages import Panels, page
from tools.dashboards.panels import GREEN, PLAIN, RED, YELLOW

LABELS = [own.tag("alarms", label) for label in DECLARED["alarms"].labels]
PHASE, RULE, SEVERITY = (own.tag("alarms", label) for label in ("phase", "rule", "severity"))
FIRING, PENDING = equal(PHASE, "firing"), equal(PHASE, "pending")


def dashboard() -> d.Dashboard:
    """Alarms."""
    rows = {"Now": _now(), "Over time": _over_time(), "The alarms at work": _work()}
    about = "Alarms by rule and severity, of all namespaces. Single alarms, with their reasons, are in the console."
    return page("mcisd-alarms", "mcisd: alarms", about, [], rows)


def _now() -> Panels:
    def firing(severity: str) -> str:
        return flux.one_number(own.latest("alarms", FIRING, equal(SEVERITY, severity)), "sum")

    table = "\n".join(
        [
            flux.NEWEST + own.latest("alarms", FIRING),
            "    |> filter(fn: (r) => r._value > 0.0)",
            "    |> group(columns: [" + ", ".join(f'"{label}"' for label in LABELS) + "])",
            "    |> sum()",
            "    |> group()",
            f'    |> drop(columns: ["{PHASE}"])',
            '    |> rename(columns: {_value: "alarms"})',
            f'    |> sort(columns: ["{SEVERITY}", "{RULE}"])',
        ]
    )
    return [
        panels.number("Critical", firing("critical"), colors=((None, GREEN), (1.0, RED)), width=6),
        panels.number("Warning", firing("warning"), colors=((None, GREEN), (1.0, YELLOW)), width=6),
        panels.number("Info", firing("info"), colors=PLAIN, width=6),
        panels.number("Pending", flux.one_number(own.latest("alarms", PENDING), "sum"), colors=PLAIN, width=6,
                      about="Bad, but not yet for as long as the rule wants."),
        panels.table("What fires", table, about="As of the last minute and a half.", height=8),
    ]  # fmt: skip


def _over_time() -> Panels:
    rule, severity = f"${{__field.labels.{RULE}}}", f"${{__field.labels.{SEVERITY}}}"
    return [
        panels.lines(title, own.over_time("alarms", where, by=[by], across="sum"), name=name, stacked=True, about=about)
        for title, where, by, name, about in (
            ("Firing by severity", FIRING, SEVERITY, severity, ""),
            ("Firing by rule", FIRING, RULE, rule, ""),
            ("Pending by severity", PENDING, SEVERITY, severity, ""),
            ("Pending by rule", PENDING, RULE, rule, "A rule that is often pending and never fires may be too strict."),
        )
    ]


def _work() -> Panels:
    what = own.tag("alarm_total", "what")
    rates = own.over_time("alarm_total", by=[what], across="sum", per_second=True)
    lag = own.over_time("bus_lag", "r.reader =~ /alarm/", by=["host", "topic", "reader"], step="max")
    return [
        panels.lines("What becomes of frames and changes", rates, unit="ops", name=f"${{__field.labels.{what}}}"),
        panels.lines("Behind", lag, name="${__field.labels.host} ${__field.labels.topic} ${__field.labels.reader}",
                     about="Messages that wait to be judged."),
    ]  # fmt: skip
