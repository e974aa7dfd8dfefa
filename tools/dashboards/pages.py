"""Titles, variables and rows of panels in, a whole dashboard out: what all dashboards have alike."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as d

from tools.dashboards.flux import chosen, values_of
from tools.dashboards.panels import SOURCE

TAG = "mcisd"
Panels = Sequence[Builder[d.Panel]]
NAMES = {"ns": "Namespace", "infra": "MCIS", "host": "VM", "process": "Process"}


def page(uid: str, title: str, about: str, variables: Sequence[str], rows: dict[str, Panels]) -> d.Dashboard:
    """A dashboard. ``rows``: the title of each row and its panels."""
    made = (
        build.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("10s")
        .tooltip(d.DashboardCursorSync.CROSSHAIR)
        .link(_others())
    )
    for number, name in enumerate(variables):
        made.with_variable(_variable(name, variables[:number]))
    for heading, panels in rows.items():
        made.with_row(build.Row(heading))
        for panel in panels:
            made.with_panel(panel)
    done = made.build()
    for number, one in enumerate(done.panels or [], 1):
        one.id_val = number
    return done


def one_vm(ns: str, infra: str) -> str:
    """The address of a VM's dashboard, from the cell that holds its name."""
    return f"/d/mcisd-vm?var-ns={ns}&var-infra={infra}&var-host=${{__value.raw}}&${{__url_time_range}}"


def _variable(name: str, before: Sequence[str]) -> build.QueryVariable:
    """A choice of the values of a tag, among those that go with the choices before it."""
    if name == "process":
        query = values_of("host", "mcisd", ['r.ns == "_mcisd"'])
    else:
        query = values_of(name, "system", chosen(*before))
    variable = (
        build.QueryVariable(name)
        .label(NAMES[name])
        .datasource(SOURCE)
        .query({"query": query, "refId": f"{name}-values"})
        .refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(d.VariableSort.NATURAL_ASC)
    )
    if name == "process":
        variable.multi(True).include_all(True).all_value(".*").current(d.VariableOption(text="All", value="$__all"))
    return variable


def _others() -> build.DashboardLink:
    """The way to the other dashboards, with the same choices and time range."""
    link = build.DashboardLink("mcisd").type(d.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).include_vars(True).keep_time(True)
