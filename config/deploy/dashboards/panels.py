"""A dashboard as a value: what it shows, and in which words. How it becomes JSON is in grafana.py.

Each panel has a number of its own that never changes: addresses of single panels contain it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from config.deploy.alerts import ALERTS
from config.deploy.slo import BURNS

Kind = Literal["lines", "stat", "ranking"]
WIDTH = 24
PANELS_MAX = 16
_LIMITS = {alert.name: alert for alert in ALERTS}


@dataclass(frozen=True)
class PanelQuery:
    """A query of Prometheus and the legend of its series; `{{label}}` in it is a label's value."""

    text: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        text: what it shows and what to make of it.
        unit: Grafana's name of the unit.
        alerts: alerts that are about this; the panel leads to their runbooks.
        limit: the value at which it becomes red. By default the limit of its first alert, where `limited`.
        low: it is red below the limit.
    """

    number: int
    title: str
    unit: str
    text: str
    queries: Sequence[PanelQuery]
    alerts: Sequence[str] = ()
    kind: Kind = "lines"
    width: int = 8
    limited: bool = False
    limit: float | None = None
    low: bool = False

    @property
    def height(self) -> int:
        """Height in rows of the grid."""
        return 4 if self.kind == "stat" else 8

    @property
    def red_at(self) -> float | None:
        """The value at which it becomes red."""
        return _LIMITS[self.alerts[0]].limit if self.limited else self.limit


@dataclass(frozen=True)
class Section:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Choice:
    """A variable that the reader of a dashboard sets: values of a label of a metric, all of them by default."""

    label: str
    metric: str

    @property
    def query(self) -> str:
        """As Grafana asks for the values."""
        return f"label_values({self.metric}, {self.label})"


@dataclass(frozen=True)
class Board:
    """A dashboard.

    Attributes:
        name: last part of its address; it never changes.
        since: the length of time that it shows at first.
    """

    name: str
    title: str
    text: str
    sections: Sequence[Section]
    choices: Sequence[Choice] = field(default=())
    since: str = "6h"

    @property
    def uid(self) -> str:
        """Grafana's id of it."""
        return f"mall-{self.name}"

    @property
    def panels(self) -> Sequence[Panel]:
        """All panels."""
        return [panel for section in self.sections for panel in section.panels]


INSTANCES = Choice("instance", "mall_ready")
ZONES = Choice("zone", "mall_open_orders")
FASTEST_BURN = max(burn.rate for burn in BURNS)


def lines(
    number: int, title: str, unit: str, text: str, *queries: PanelQuery,
    alerts: Sequence[str] = (), width: int = 8, limited: bool = False, limit: float | None = None, low: bool = False,
) -> Panel:  # fmt: skip
    """A panel of lines over time."""
    return Panel(number, title, unit, text, queries, alerts, "lines", width, limited, limit, low)


def stat(
    number: int, title: str, unit: str, text: str, *queries: PanelQuery,
    alerts: Sequence[str] = (), width: int = 6, limited: bool = False, limit: float | None = None, low: bool = False,
) -> Panel:  # fmt: skip
    """A panel of one number, as it is now."""
    return Panel(number, title, unit, text, queries, alerts, "stat", width, limited, limit, low)


def ranking(
    number: int,
    title: str,
    unit: str,
    text: str,
    query: PanelQuery,
    *,
    alerts: Sequence[str] = (),
    width: int = 8,
) -> Panel:
    """A panel of bars, as they are now."""
    return Panel(number, title, unit, text, (query,), alerts, "ranking", width)
