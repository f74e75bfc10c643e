"""Queries of dashboards, asked of a real Prometheus: what is wrong with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.integration.monitoring.prometheus_process import PrometheusProcess

# What Grafana would put there. Ranges are short: the test has only looked for seconds.
GRAFANA = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "1h", "$instance": ".*", "$zone": ".*"}
_SELECTOR = re.compile(
    r"(?<![\w:.$])((?:mall|process|prometheus)[_:][\w:]+|up|ALERTS)\b(\{[^}]*\})?(?!\s*\()"
)


@dataclass(frozen=True)
class AskedQuery:
    """A query and where it stands."""

    place: str
    text: str

    @property
    def asked(self) -> str:
        """As Prometheus gets it."""
        text = self.text
        for variable, value in sorted(GRAFANA.items(), reverse=True):
            text = text.replace(variable, value)
        return text


def queries_of(board: Mapping[str, Any]) -> Sequence[AskedQuery]:
    """All queries of a dashboard's JSON."""
    return [
        AskedQuery(f"{board['uid']} {panel['id']} {panel['title']} {target['refId']}", target["expr"])
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]


def selectors_of(text: str) -> set[str]:
    """The selectors of a query. What stands in quotation marks is none."""
    bare = re.sub(r"\b(by|on|without) \([^)]*\)", "", text)
    return {name + labels for name, labels in _SELECTOR.findall(bare)}


async def without_value(
    prometheus: PrometheusProcess, queries: Iterable[AskedQuery]
) -> tuple[Sequence[str], int]:
    """What does not parse, has no series, or has a value that is no number; and how many series there were."""
    found, count = [], 0
    moment = await prometheus.moment()
    for query in queries:
        error, data = await prometheus.ask("query", query=query.asked, time=moment)
        if error:
            found.append(f"{query.place}: {error}")
            continue
        values = [float(series["value"][1]) for series in data["result"]]
        count += len(values)
        if not values:
            found.append(f"{query.place}: no series")
        elif not all(map(math.isfinite, values)):
            found.append(f"{query.place}: {values}")
    return found, count


async def never_seen(
    prometheus: PrometheusProcess, queries: Iterable[AskedQuery]
) -> tuple[Sequence[str], int]:
    """Selectors for which there never was a series: their query shows 0 for ever. And how many selectors there are."""
    selectors = {selector for query in queries for selector in selectors_of(query.asked)}
    return [each for each in sorted(selectors) if not await prometheus.series(each)], len(selectors)
