"""Queries in, panels out: the few kinds of panels that all dashboards are made of, each with one look."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import bargauge, common, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d

SOURCE = d.DataSourceRef(type_val="influxdb", uid="mcisd-influxdb")
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
Step = tuple[float | None, str]
CALM: tuple[Step, ...] = ((None, GREEN),)
PLAIN: tuple[Step, ...] = ((None, BLUE),)
FULL: tuple[Step, ...] = ((None, GREEN), (80.0, YELLOW), (90.0, RED))
"""Of something that must not get full, in per cent."""
NONE_WANTED: tuple[Step, ...] = ((None, GREEN), (1.0, RED))
"""Of something that should not be there at all."""
LEAST = "10s"
"""No panel asks for finer steps than the windows are."""


class FluxQuery(variants.Dataquery):
    """One query of a panel, as Grafana's data source for InfluxDB wants it in Flux mode."""

    def __init__(self, text: str, ref: str) -> None:
        self.text = text
        self.ref = ref

    def to_json(self) -> dict[str, object]:
        return {"refId": self.ref, "query": self.text, "datasource": SOURCE.to_json()}


class Target(builder.Builder[variants.Dataquery]):
    """Makes a FluxQuery, in the way of the SDK."""

    def __init__(self, text: str, ref: str) -> None:
        self._query = FluxQuery(text, ref)

    def build(self) -> variants.Dataquery:
        return self._query


def targets(queries: Sequence[str]) -> list[builder.Builder[variants.Dataquery]]:
    """The queries of one panel: A, B, …"""
    return [Target(text, chr(ord("A") + number)) for number, text in enumerate(queries)]


def steps(every: Sequence[Step]) -> build.ThresholdsConfig:
    """Colours from a value on; the first has no lower end."""
    return build.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps([d.Threshold(v, color) for v, color in every])


def lines(
    title: str,
    *queries: str,
    unit: str = "short",
    name: str = "${__field.labels.host}",
    stacked: bool = False,
    top: float | None = None,
    about: str = "",
    width: int = 12,
    height: int = 8,
) -> timeseries.Panel:
    """Values over time. ``name`` is what a line is called; ``top`` the upper end of the axis."""
    legend = common.VizLegendOptions().display_mode(c.LegendDisplayMode.TABLE).placement(c.LegendPlacement.BOTTOM)
    panel = (
        timeseries.Panel()
        .title(title)
        .datasource(SOURCE)
        .targets(targets(queries))
        .interval(LEAST)
        .unit(unit)
        .display_name(name)
        .min(0)
        .legend(legend.show_legend(True).calcs(["lastNotNull", "max"]))
        .tooltip(common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING))
        .line_width(1)
        .fill_opacity(70 if stacked else 8)
        .show_points(c.VisibilityMode.AUTO)
        .span(width)
        .height(height)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(c.StackingMode.NORMAL).group("A"))
    if top is not None:
        panel.max(top)
    return panel.description(about) if about else panel


def number(
    title: str, query: str, *, unit: str = "short", colors: Sequence[Step] = CALM, about: str = "", width: int = 4
) -> stat.Panel:
    """One number, large. Nothing there is shown as 0."""
    panel = (
        stat.Panel()
        .title(title)
        .datasource(SOURCE)
        .targets(targets([query]))
        .unit(unit)
        .no_value("0")
        .thresholds(steps(colors))
        .color_scheme(build.FieldColor().mode(d.FieldColorModeId.THRESHOLDS))
        .color_mode(c.BigValueColorMode.VALUE)
        .graph_mode(c.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .span(width)
        .height(4)
    )
    return panel.description(about) if about else panel


def ranking(
    title: str,
    query: str,
    *,
    unit: str = "percent",
    colors: Sequence[Step] = FULL,
    top: float | None = 100,
    about: str = "",
    width: int = 6,
    height: int = 9,
) -> bargauge.Panel:
    """Bars of the rows of a table, in its order; the text column of a row names its bar."""
    panel = (
        bargauge.Panel()
        .title(title)
        .datasource(SOURCE)
        .targets(targets([query]))
        .unit(unit)
        .min(0)
        .thresholds(steps(colors))
        .color_scheme(build.FieldColor().mode(d.FieldColorModeId.THRESHOLDS))
        .orientation(c.VizOrientation.HORIZONTAL)
        .display_mode(c.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(True).limit(25))
        .span(width)
        .height(height)
    )
    if top is not None:
        panel.max(top)
    return panel.description(about) if about else panel


def table(
    title: str,
    query: str,
    *,
    units: Mapping[str, str] | None = None,
    colors: Mapping[str, Sequence[Step]] | None = None,
    links: Mapping[str, str] | None = None,
    about: str = "",
    width: int = 24,
    height: int = 9,
) -> tables.Panel:
    """Rows as they come. Column → its unit, its colours, the address that a click on it opens."""
    panel = (
        tables.Panel()
        .title(title)
        .datasource(SOURCE)
        .targets(targets([query]))
        .filterable(True)
        .no_value("–")
        .span(width)
        .height(height)
    )
    for column in dict.fromkeys([*(units or {}), *(colors or {}), *(links or {})]):
        properties = []
        if units and column in units:
            properties.append(d.DynamicConfigValue("unit", units[column]))
        if colors and column in colors:
            properties.append(d.DynamicConfigValue("thresholds", steps(colors[column]).build()))
            properties.append(d.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        if links and column in links:
            properties.append(d.DynamicConfigValue("links", [{"title": "show this VM", "url": links[column]}]))
        panel.override_by_name(column, properties)
    return panel.description(about) if about else panel
