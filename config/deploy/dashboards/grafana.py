"""The JSON of a dashboard, made by Grafana's own builder. The same source gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)

from config.deploy.dashboards.panels import WIDTH, Board, Choice, Panel

TAG = "mall"
# Grafana serves what is in its public folder; observability.yaml puts the runbooks there. Elsewhere, set another one.
RUNBOOKS = "/public/runbooks"
# Numbers of rows come after all numbers of panels.
_FIRST_ROW = 101
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_Builder = timeseries.Panel | stat.Panel | bargauge.Panel


def text_of(board: Board) -> str:
    """The dashboard as a file of Grafana."""
    made = (
        dashboard.Dashboard(f"Mall / {board.title}")
        .uid(board.uid)
        .description(board.text)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time(f"now-{board.since}", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(_others())
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.ConstantVariable("runbooks").label("Address of the runbooks").value(RUNBOOKS)
        )
    )
    for choice in board.choices:
        made = made.with_variable(_variable(choice))
    row = 0
    for number, section in enumerate(board.sections):
        made = made.with_row(
            dashboard.Row(section.title).id(_FIRST_ROW + number).grid_pos(GridPos(h=1, w=WIDTH, x=0, y=row))
        )
        row += 1
        places, row = placed(section.panels, row)
        for panel, place in zip(section.panels, places, strict=True):
            made = made.with_panel(_panel(panel, place))
    return json.dumps(json.loads(JSONEncoder().encode(made.build())), indent=2, sort_keys=True) + "\n"


def placed(panels: Sequence[Panel], row: int) -> tuple[Sequence[GridPos], int]:
    """Places of panels, from left to right and then below, and the row below them all."""
    places, column, height = [], 0, 0
    for panel in panels:
        if column + panel.width > WIDTH:
            row, column, height = row + height, 0, 0
        places.append(GridPos(h=panel.height, w=panel.width, x=column, y=row))
        column, height = column + panel.width, max(height, panel.height)
    return places, row + height


def _others() -> dashboard.DashboardLink:
    """A list of all dashboards."""
    return (
        dashboard.DashboardLink("Mall")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .keep_time(True)
    )


def _variable(choice: Choice) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(choice.label)
        .label(choice.label.capitalize())
        .datasource(_SOURCE)
        .query(choice.query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(panel: Panel, place: GridPos) -> _Builder:
    made = _empty(panel)
    made.id(panel.number).title(panel.title).description(panel.text).unit(panel.unit)
    made.datasource(_SOURCE).grid_pos(place).thresholds(_thresholds(panel))
    made.links([_runbook(alert) for alert in panel.alerts])
    for target in _targets(panel):
        made.with_target(target)
    return made


def _empty(panel: Panel) -> _Builder:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    if panel.kind == "stat":
        made = stat.Panel().color_mode(BigValueColorMode.VALUE).graph_mode(BigValueGraphMode.NONE)
        return made.reduce_options(last)
    if panel.kind == "ranking":
        return bargauge.Panel().orientation(VizOrientation.HORIZONTAL).reduce_options(last).min(0)
    style = GraphThresholdsStyleMode.OFF if panel.red_at is None else GraphThresholdsStyleMode.DASHED
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    return (
        timeseries.Panel()
        .legend(legend.show_legend(True))
        .tooltip(tooltip)
        .fill_opacity(10)
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
    )


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    """Red at the limit. Without one nothing is, not even at Grafana's own limit of 80."""
    below, above = ("red", "green") if panel.low else ("green", "red")
    steps = [Threshold(value=None, color=below)]
    if panel.red_at is not None:
        steps.append(Threshold(value=panel.red_at, color=above))
    else:
        steps = [Threshold(value=None, color="green")]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _runbook(alert: str) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink(f"Runbook: {alert}")
        .type(DashboardLinkType.LINK)
        .url(f"${{runbooks}}/{alert}.md")
        .target_blank(True)
    )


def _targets(panel: Panel) -> Iterator[prometheus.Dataquery]:
    for number, query in enumerate(panel.queries):
        made = (
            prometheus.Dataquery().ref_id(chr(ord("A") + number)).expr(query.text).legend_format(query.legend)
        )
        yield made.datasource(_SOURCE) if panel.kind == "lines" else made.datasource(_SOURCE).instant()
