"""The live view of a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from loadtests.demo.driver import DemoDriver
from loadtests.demo.ledger import OrderLedger
from loadtests.demo.run_clock import RunClock
from loadtests.demo.summary import Summary, summarize
from loadtests.demo.world import SPEEDUP

FRAME_S = 0.25
BAR = 8
HOW_TO_STOP = {
    "open": "Ctrl-C closes the mall and gives the verdict",
    "closing": "what is carried is brought; Ctrl-C again ends at once",
    "audit": "the records are compared; Ctrl-C again ends at once",
}
STYLES = {
    "waiting": "yellow", "offered": "cyan", "assigned": "blue", "picked_up": "magenta", "delivered": "green",
    "cancelled": "bright_black", "undeliverable": "red", "offline": "bright_black", "idle": "green",
    "to store": "blue", "to customer": "magenta", "disconnected": "red",
}  # fmt: skip


def draw(summary: Summary) -> RenderableType:
    """The whole view."""
    minutes, seconds = divmod(int(summary.elapsed_s), 60)
    head = Text.assemble(
        ("Mall Delivery Dispatch  ", "bold"),
        (f"{summary.phase}  ", "bold green" if summary.phase == "open" else "bold yellow"),
        f"{minutes}:{seconds:02}  the town runs {SPEEDUP:g} times as fast as you  ",
        (HOW_TO_STOP[summary.phase], "italic"),
    )
    boxes = Columns(
        [
            Panel(_bars(summary.orders), title="orders"),
            Panel(_bars(summary.drivers), title="drivers"),
            Panel(_pace(summary), title="pace"),
        ]
    )
    # The newest first: a small terminal cuts off what is at the bottom.
    news = Text("\n".join(reversed(summary.news)), no_wrap=True, overflow="ellipsis")
    return Group(head, boxes, Panel(news, title="news"))


def _bars(counts: Mapping[str, int]) -> Table:
    table, total = Table.grid(padding=(0, 1)), max(1, sum(counts.values()))
    for state, count in counts.items():
        bar = "█" * max(int(count > 0), round(BAR * count / total))
        table.add_row(state.replace("_", " "), f"{count:>4}", Text(bar.ljust(BAR), STYLES.get(state, "cyan")))
    return table


def _pace(summary: Summary) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row("orders a minute", f"{summary.orders_per_min:.0f}")
    table.add_row("deliveries a minute", f"{summary.deliveries_per_min:.0f}")
    table.add_row("to first offer", _spread(summary.to_offer_ms))
    table.add_row("to acceptance", _spread(summary.to_acceptance_ms))
    table.add_row("lines resumed", str(summary.resumed))
    table.add_row("feed faults", _alarm(summary.feed_faults))
    table.add_row("errors", _alarm(summary.errors))
    return table


def _spread(ms: tuple[float, float]) -> str:
    return f"p50 {ms[0]:.0f} ms, p95 {ms[1]:.0f} ms"


def _alarm(count: int) -> Text:
    return Text(str(count), "bold red" if count else "green")


async def watch_screen(ledger: OrderLedger, drivers: list[DemoDriver], clock: RunClock) -> None:
    """Four pictures a second, until cancelled; the terminal is as before afterwards."""
    with Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(draw(summarize(ledger, drivers, clock)), refresh=True)
            await asyncio.sleep(FRAME_S)
