"""Service level objectives: how much of the budget is left, and how fast it is being spent."""

from __future__ import annotations

from config.deploy.dashboards.panels import FASTEST_BURN, Board, Panel, PanelQuery, Section, lines, stat
from config.deploy.dashboards.promql import at_rest
from config.deploy.slo import BUDGET_DAYS, BURNS, OBJECTIVES, WINDOWS, Objective

_BURN_WINDOWS = tuple(burn.long for burn in BURNS)
_ALERT = ("MallErrorBudgetBurn",)


def budget_left(objective: Objective) -> str:
    """Share of the month's budget that is left.

    It is made of sums of events: in a mean of ratios, idle hours would count as much as busy ones.
    """
    bad, total = (
        query.replace("rate(", "increase(").replace("{w}", f"{BUDGET_DAYS}d")
        for query in (objective.bad, objective.total)
    )
    return f"(1 - (({bad}) or vector(0)) / (({total}) > 0) / {objective.budget:g}) or vector(1)"


def burn(objective: Objective, window: str) -> str:
    """How many times as fast as allowed the budget is spent."""
    return at_rest(f'mall:slo_errors:ratio{window}{{slo="{objective.name}"}} / {objective.budget:g}')


def _left(number: int, objective: Objective) -> Panel:
    return stat(
        number, f"Budget left: {objective.name}", "percentunit",
        f"What may still go wrong. The objective is that {objective.text}, in {objective.good:.1%} of all cases within "
        f"{BUDGET_DAYS} days; below 0 it is missed. A Prometheus that is younger sees less.",
        PanelQuery(budget_left(objective), "left"),
        alerts=_ALERT, width=24 // len(OBJECTIVES), limit=0, low=True,
    )  # fmt: skip


def _burning(number: int, objective: Objective) -> Panel:
    return lines(
        number, f"Burn rate: {objective.name}", "none",
        f"How many times as fast as allowed the budget is spent, over four windows ({objective.text}). 1 spends it "
        "in a month; the dashed line is where the fastest alert pages.",
        *(PanelQuery(burn(objective, window), window) for window in _BURN_WINDOWS),
        alerts=_ALERT, limit=FASTEST_BURN,
    )  # fmt: skip


def _events(number: int, objective: Objective) -> Panel:
    bad, total = (query.replace("{w}", "$__rate_interval") for query in (objective.bad, objective.total))
    return lines(
        number, f"Events: {objective.name}", "eps",
        f"What the objective counts: all events, and the bad ones among them ({objective.text}).",
        PanelQuery(at_rest(total), "all"),
        PanelQuery(at_rest(bad), "bad"),
        alerts=_ALERT,
    )  # fmt: skip


_FIRING = Section(
    "Alerts",
    (
        lines(
            31, "Error ratio, all windows", "percentunit",
            "Share of bad events of each objective over the shortest and the longest window.",
            *(
                PanelQuery(at_rest(f"max by (slo) (mall:slo_errors:ratio{window})", "slo"), f"{{{{slo}}}} {window}")
                for window in (WINDOWS[0], WINDOWS[-1])
            ),
            alerts=_ALERT, width=12,
        ),
        lines(
            32, "Burn alerts that fire", "short",
            "Alerts of burn rates that fire, by objective and speed. `fast` and `medium` page.",
            PanelQuery(
                at_rest(
                    'count by (slo, burn) (ALERTS{alertname="MallErrorBudgetBurn",alertstate="firing"})', "slo"
                ),
                "{{slo}} {{burn}}",
            ),
            alerts=_ALERT, width=12,
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "slo",
    "Objectives",
    "Service level objectives: what was promised, how much of it is left this month, and how fast it goes.",
    (
        Section("Budgets", tuple(_left(number, o) for number, o in enumerate(OBJECTIVES, 1))),
        Section("Burn rates", tuple(_burning(number, o) for number, o in enumerate(OBJECTIVES, 11))),
        Section("Events", tuple(_events(number, o) for number, o in enumerate(OBJECTIVES, 21))),
        _FIRING,
    ),
    since="24h",
)
