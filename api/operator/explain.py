"""`run.py explain`: why an order was offered to whom, in sentences."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable

import orjson

from config.settings import Settings
from dispatch.decision_story import ToldDecision, told_decisions
from dispatch.domain.ids import ORDER, public_id
from storage.postgres.database import COMMAND_CONNECT_S, open_database
from storage.servers import reach_servers

NOTHING = 1


def command_explain(settings: Settings, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Print the story; 0 when there is such an order, 1 when there is none."""
    with reach_servers(settings) as at:
        told = asyncio.run(_told(at.database_url, options.order))
    name = public_id(ORDER, options.order)
    if options.json:
        events = [{"at": each.at.isoformat(), "sentences": each.sentences} for each in told]
        say(orjson.dumps({"order_id": name, "events": events}).decode())
    else:
        say("\n".join(each.line() for each in told) or f"There is no order {name}.")
    return 0 if told else NOTHING


async def _told(database_url: str, order: int) -> list[ToldDecision]:
    async with open_database(database_url, size_max=1, connect_s=COMMAND_CONNECT_S) as database:
        return await told_decisions(database, order)
