"""`run.py explain`: why an order was offered to whom, in sentences; with `--replay`, whether it would be so again."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable

import orjson

from config.settings import Settings
from dispatch.decision_replay import ReplayedDecision, decisions_of
from dispatch.domain.ids import ORDER, public_id
from dispatch.plan_steps import step_at_once
from storage.postgres.database import COMMAND_CONNECT_S, open_database
from storage.servers import reach_servers

NOTHING, DIFFERENT = 1, 3
REPLAYS_MAX = 100


def command_explain(settings: Settings, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Print the story; 0 when there is such an order, 1 when there is none, 3 when a replay gives another answer."""
    with reach_servers(settings) as at:
        told = asyncio.run(_told(at.database_url, options.order, replays=options.replay))
    name = public_id(ORDER, options.order)
    if options.json:
        say(orjson.dumps({"order_id": name, "events": [_shown(each) for each in told]}).decode())
    else:
        say("\n".join(each.line() for each in told) or f"There is no order {name}.")
    if any(each.replay is not None and each.replay.outcome == "different" for each in told):
        return DIFFERENT
    return 0 if told else NOTHING


def _shown(decision: ReplayedDecision) -> dict[str, object]:
    shown: dict[str, object] = {"at": decision.told.at.isoformat(), "sentences": decision.told.sentences}
    if decision.replay is not None:
        shown["replay"] = decision.replay
    return shown


async def _told(database_url: str, order: int, *, replays: bool) -> list[ReplayedDecision]:
    async with open_database(database_url, size_max=1, connect_s=COMMAND_CONNECT_S) as database:
        return await decisions_of(database, order, step_at_once if replays else None, REPLAYS_MAX)
