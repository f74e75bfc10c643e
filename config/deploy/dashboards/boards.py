"""All dashboards, in the order in which somebody reads them who looks for a fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from config.deploy.dashboards import (
    business,
    data,
    deliveries,
    dispatch,
    feed,
    objectives,
    overview,
    ownership,
    work,
)
from config.deploy.dashboards.grafana import text_of
from config.deploy.dashboards.panels import Board

FOLDER = Path(__file__).resolve().parents[1] / "grafana" / "dashboards"
BOARDS: Sequence[Board] = (
    overview.BOARD,
    objectives.BOARD,
    business.BOARD,
    deliveries.BOARD,
    dispatch.BOARD,
    ownership.BOARD,
    feed.BOARD,
    data.BOARD,
    work.BOARD,
)


def files() -> Mapping[str, str]:
    """The texts of the files, by name."""
    return {f"{board.uid}.json": text_of(board) for board in BOARDS}
