"""Background rounds: they let others have their turn, and what changes meanwhile is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from actors.cell import Cell
from actors.cell_table import WALK, CellTable
from actors.messages import ActorId
from actors.shards import Ownership
from dispatch.background import BackgroundTasks
from dispatch.domain.driver import ONLINE, Driver
from dispatch.domain.geo import Place
from dispatch.domain.position_filter import Track
from dispatch.driver_actor import DriverBehaviour
from dispatch.driver_state import Counted, DriverState
from dispatch.service import Dispatch
from tests.support.waiting import turn

HERE, THERE = Place(52.5, 13.4), Place(52.6, 13.5)


class Mall:
    """An instance that owns two shards, with drivers in them."""

    def __init__(self, drivers: int) -> None:
        shards = CellTable(())
        for number in (0, 1):
            shards.own(Ownership(number, 1, first=1, since=0.0))
        self.states = [
            DriverState(
                Driver(n, 1, f"Driver {n}", ONLINE, 1, 1, frozenset(), ()),
                last_seq=n,
                place=HERE,
                session="s",
            )
            for n in range(drivers)
        ]
        self.cells = []
        for state in self.states:
            actor = ActorId("driver", state.driver.id)
            cell = Cell(actor, DriverBehaviour("epoch"), state.driver.id % 2)
            cell.state = state
            cast(Ownership, shards.owned[cell.shard]).cells[actor] = cell
            self.cells.append(cell)
        self.dispatch = Dispatch(
            cast(Any, SimpleNamespace(cells=shards)), cast(Any, SimpleNamespace(place=None))
        )


class Rows:
    """Postgres, as far as a chore sees it; `meanwhile` happens while it writes."""

    def __init__(self, meanwhile: Any = None) -> None:
        self.written: list[Any] = []
        self._meanwhile = meanwhile

    async def rows(self, name: str, *args: Any) -> Sequence[Any]:
        assert name == "save_positions"
        self.written.append(args[0])
        if self._meanwhile is not None:
            self._meanwhile()
        return []


def background(mall: Mall, rows: Rows) -> BackgroundTasks:
    nothing: Any = lambda *args: None  # noqa: E731 - three hooks that hear nothing
    return BackgroundTasks(mall.dispatch, rows, done=nothing, failed=nothing, swept=nothing)


async def test_walk_over_all_actors_lets_others_have_their_turn() -> None:
    mall = Mall(4 * WALK)
    walk = asyncio.ensure_future(mall.dispatch.known())
    turns = 0
    while not walk.done():
        await turn()
        turns += 1
    assert len(walk.result()) == 4 * WALK
    assert turns > 1


async def test_place_that_changes_while_it_is_written_is_written_in_the_next_round() -> None:
    mall = Mall(1)

    def drive_on() -> None:
        mall.cells[0].state = mall.states[0].at(THERE, Counted("", 1), Track())

    rows = Rows(drive_on)
    rounds = background(mall, rows)
    await rounds.save_positions()
    await rounds.save_positions()
    assert [[(item["lat"], item["lon"]) for item in batch] for batch in rows.written] == [
        [(HERE.lat, HERE.lon)], [(THERE.lat, THERE.lon)]
    ]  # fmt: skip


async def test_place_that_stays_is_written_once() -> None:
    rows = Rows()
    rounds = background(Mall(1), rows)
    await rounds.save_positions()
    await rounds.save_positions()
    assert len(rows.written) == 1
