"""The simulator finds what is planted: each defect of a kind that real systems have had, within 300 seeds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from actors.behaviour import Done
from actors.cell_table import CellTable
from actors.cluster.forwarding import Forwarding
from actors.cluster.lease_state import LeaseState
from actors.messages import ActorId, Envelope, Seed
from actors.router import Router
from actors.runtime import Runtime
from actors.shards import Parked, shard_of
from api.feed import state
from api.feed.state import Disposition, FeedState
from dispatch import messages as m
from dispatch import zone_ladder, zone_planning
from dispatch.domain import order as orders
from dispatch.domain.offer_ladder import RungPlace
from dispatch.domain.planning import PlanDriver
from dispatch.driver_actor import DriverBehaviour
from dispatch.driver_state import DriverState
from dispatch.zone_actor import ZoneBehaviour
from dispatch.zone_state import ZoneState
from storage.memory.journal import MemoryJournal
from tests.simulation.checks import Violation
from tests.simulation.run import run_seed
from tests.simulation.wires import Faults
from tests.simulation.world import PLANNING

SEEDS = 300
# How long a claim waits for a write on its way.
LOCKED_S = 0.3
Plant = Callable[[pytest.MonkeyPatch], Faults]


def _fence_is_missing(patch: pytest.MonkeyPatch) -> Faults:
    del patch
    # The version check, the second wall, hides most of them: it takes many late ones and many faults.
    return Faults(lands_late=0.3, late_s=3.0, evil_every_s=2.0, planted="no_fence")


def _epochs_are_counted_in_redis(patch: pytest.MonkeyPatch) -> Faults:
    del patch
    return Faults(planted="epochs_in_redis")


def _epoch_is_checked_apart_from_the_write(patch: pytest.MonkeyPatch) -> Faults:
    del patch
    return Faults(lands_late=0.2, evil_every_s=2.0, planted="check_then_write")


def _commit_is_acknowledged_early(patch: pytest.MonkeyPatch) -> Faults:
    del patch
    return Faults(planted="ack_early")


def _state_is_loaded_before_the_claim(patch: pytest.MonkeyPatch) -> Faults:
    """Rows are read as soon as the lease is won, and serve the first use of each order after the claim."""
    take, deliver = Runtime.take, Router.deliver
    early: dict[tuple[int, int], Mapping[str, Any]] = {}

    async def hasty(self: Runtime, shards: Sequence[int]) -> None:
        numbers = [n for n in range(1, 200) if shard_of(ActorId("order", n)) in set(shards)]
        rows: Mapping[int, Mapping[str, Any]] = await self.journal.load("order", numbers)
        # A claim waits for the locks of every write on its way.
        await asyncio.sleep(LOCKED_S)
        await take(self, shards)
        early.update({(id(self.cells), number): row for number, row in rows.items()})

    def warm(
        self: Router, envelope: Envelope, *, latest: str | None = None, seed: Seed | None = None
    ) -> None:
        to, ownership = envelope.to, self._cells.owned[shard_of(envelope.to)]
        if (
            to.kind == "order"
            and ownership is not None
            and ownership.parked is None
            and to not in ownership.cells
        ):
            row = early.pop((id(self._cells), to.number), None)
            seed = Seed(float("inf"), row) if row else seed
        deliver(self, envelope, latest=latest, seed=seed)

    patch.setattr(Runtime, "take", hasty)
    patch.setattr(Router, "deliver", warm)
    return Faults(evil_every_s=2.0)


def _memory_outlives_the_ownership(patch: pytest.MonkeyPatch) -> Faults:
    surrender, take = CellTable.surrender, Runtime.take
    kept: dict[tuple[int, int], dict[Any, Any]] = {}

    def keep(self: CellTable, shard: int) -> list[Parked]:
        ownership = self.owned[shard]
        if ownership is not None:
            kept[id(self), shard] = dict(ownership.cells)
        return surrender(self, shard)

    async def with_old_memory(self: Runtime, shards: Sequence[int]) -> None:
        await take(self, shards)
        for shard in shards:
            ownership = self.cells.owned[shard]
            if ownership is not None:
                cells = kept.get((id(self.cells), shard), {})
                ownership.cells.update(
                    {k: c for k, c in cells.items() if c.status == 1 and k.kind == "order"}
                )

    patch.setattr(CellTable, "surrender", keep)
    patch.setattr(Runtime, "take", with_old_memory)
    return Faults()


def _lease_is_believed_for_ever(patch: pytest.MonkeyPatch) -> Faults:
    patch.setattr(LeaseState, "sure", lambda self: True)
    return Faults(evil_every_s=2.0)


def _slots_are_not_counted(patch: pytest.MonkeyPatch) -> Faults:
    patch.setattr(MemoryJournal, "_slot", lambda self, item: ("ok", 0))
    return Faults()


def _capacity_is_not_checked(patch: pytest.MonkeyPatch) -> Faults:
    def roomy(self: MemoryJournal, item: Mapping[str, Any]) -> tuple[str, int | None]:
        taken = {slot for who, slot in self.assignments.values() if who == item["take"]}
        return "ok", next(slot for slot in range(99) if slot not in taken)

    patch.setattr(MemoryJournal, "_slot", roomy)
    return Faults()


def _keys_are_forgotten(patch: pytest.MonkeyPatch) -> Faults:
    place = MemoryJournal._place

    def forgetful(self: MemoryJournal, request: Any) -> dict[str, Any]:
        self.keys.clear()
        return place(self, request)

    patch.setattr(MemoryJournal, "_place", forgetful)
    return Faults()


def _feed_has_gaps(patch: pytest.MonkeyPatch) -> Faults:
    def careless(self: DriverBehaviour, state: DriverState, grew: m.FeedGrew) -> Done:
        return Done() if grew.entry is None else self._append(state, (grew.entry,))

    patch.setattr(DriverBehaviour, "_grew", careless)
    patch.setattr(state, "classify_frame", lambda position, frame: Disposition.SEND)
    return Faults()


def _feed_repeats(patch: pytest.MonkeyPatch) -> Faults:
    # Only a session that was bound again while frames of the old owner were on their way sees it.
    _misjudge(patch, Disposition.DROP)
    return Faults(evil_every_s=2.0)


def _gap_is_let_through(patch: pytest.MonkeyPatch) -> Faults:
    _misjudge(patch, Disposition.GAP)
    return Faults(evil_every_s=2.0)


def _position_is_not_advanced(patch: pytest.MonkeyPatch) -> Faults:
    """An entry is sent, and the session still stands where it was."""
    advance = FeedState.advance

    def forgetful(self: FeedState, frame: Mapping[str, Any]) -> Disposition:
        before = self.position
        found = advance(self, frame)
        if frame["t"] == "event":
            self.position = before
        return found

    patch.setattr(FeedState, "advance", forgetful)
    return Faults()


def _misjudge(patch: pytest.MonkeyPatch, wrong: Disposition) -> None:
    """Frames that the rules judge like this are sent."""
    classify = state.classify_frame

    def misjudge(position: int | None, frame: Mapping[str, Any]) -> Disposition:
        found = classify(position, frame)
        return Disposition.SEND if found is wrong else found

    patch.setattr(state, "classify_frame", misjudge)


def _attempts_outlive_answers(patch: pytest.MonkeyPatch) -> Faults:
    """Who does not serve an ask any more sends it on, whatever its edge has heard of a repetition meanwhile."""
    forward = Forwarding.forward

    def send_on(self: Forwarding, parked: Parked) -> None:
        parked.envelope.hop = 0
        forward(self, parked)

    patch.setattr(Forwarding, "forward", send_on)
    return Faults(evil_every_s=1.5)


def _any_move_is_legal(patch: pytest.MonkeyPatch) -> Faults:
    patch.setitem(orders.TRANSITIONS, ("picked_up", "cancelled"), "cancelled")
    patch.setattr(
        "storage.memory.guards.LEGAL_MOVES",
        frozenset((a, b) for a in orders.STATUSES for b in orders.STATUSES),
    )
    return Faults()


def _free_slots_are_not_counted(patch: pytest.MonkeyPatch) -> Faults:
    patch.setattr(m.DriverChanged, "free", property(lambda _: 9))
    right = zone_planning._plan_driver

    def roomy(*args: Any) -> PlanDriver:
        return replace(right(*args), slots=9)

    patch.setattr(zone_planning, "_plan_driver", roomy)
    return Faults(evil_every_s=60.0)


def _declines_are_forgotten(patch: pytest.MonkeyPatch) -> Faults:
    patch.setattr(zone_planning, "_declined_by", lambda *_: frozenset())
    patch.setitem(PLANNING, "rest_s", 0)
    return Faults(evil_every_s=60.0)


def _times_are_passed_over(patch: pytest.MonkeyPatch) -> Faults:
    patch.setattr(ZoneBehaviour, "_is_scheduled", staticmethod(lambda *_: False))
    return Faults(evil_every_s=60.0)


def _orders_that_nobody_took_are_forgotten(patch: pytest.MonkeyPatch) -> Faults:
    """Nobody is asked on any rung but the first one."""
    right = zone_ladder.for_the_nearest

    def forgetful(zone: ZoneState, now_ms: int) -> list[tuple[orders.Order, RungPlace]]:
        return [] if zone.plan is not None else right(zone, now_ms)

    patch.setattr(zone_ladder, "for_the_nearest", forgetful)
    patch.setattr(zone_ladder, "for_the_board", lambda *_: [])
    return Faults(evil_every_s=60.0)


def _lost_proposals_are_waited_for_for_ever(patch: pytest.MonkeyPatch) -> Faults:
    def patient(zone: ZoneState, order: orders.Order, now_ms: int) -> bool:
        live = any(offer.expires_ms > now_ms for offer in order.offers)
        return order.mode == orders.WAVES and not live and order.id not in zone.proposed

    patch.setattr(zone_planning, "is_waiting", patient)
    patch.setattr(zone_ladder, "is_waiting", patient)
    return Faults(evil_every_s=1.5)


# What is planted, and what the finding must say: anything else would be luck.
PLANTED: dict[str, tuple[Plant, str]] = {
    "the fence is missing": (_fence_is_missing, "stale owner has committed"),
    "epochs are counted in Redis": (_epochs_are_counted_in_redis, "epoch of shard .* fell"),
    "the epoch is checked apart from the write": (
        _epoch_is_checked_apart_from_the_write, "stale owner has committed",
    ),
    "a commit is acknowledged early": (
        _commit_is_acknowledged_early, "told|at \\d+ of|shown at version|then|delivered\\? no",
    ),
    # An order that is believed to be taken is read as such, or offered to nobody any more.
    "state is loaded before the claim": (_state_is_loaded_before_the_claim, "shown at version|never assigned"),
    "memory outlives the ownership": (_memory_outlives_the_ownership, "shown at version"),
    "a lease is believed for ever": (_lease_is_believed_for_ever, "shown at version"),
    "slots are not counted": (_slots_are_not_counted, "share a slot"),
    "capacity is not checked": (_capacity_is_not_checked, "capacity|has slot"),
    "keys are forgotten": (_keys_are_forgotten, "created two orders"),
    "the feed has gaps": (_feed_has_gaps, "driver \\d+: .* then|is at"),
    "the feed repeats": (_feed_repeats, "driver \\d+: .* then|resumed at another"),
    # The rules of a session are the product's own here, and a defect in them is found like any other.
    "a session lets a gap through": (_gap_is_let_through, "driver \\d+: .* then"),
    "a session does not count what it sends": (_position_is_not_advanced, "driver (\\d+): (\\d+) then \\2"),
    "attempts outlive answers": (_attempts_outlive_answers, "was refused, and then tried"),
    "free slots are not counted for a trip": (_free_slots_are_not_counted, "a trip of \\d+ for driver"),
    "declines are forgotten": (_declines_are_forgotten, "again, and never"),
    "times that customers want are passed over": (_times_are_passed_over, "offered too early"),
    "orders that nobody took are forgotten": (_orders_that_nobody_took_are_forgotten, "is silent for"),
    "lost proposals are waited for for ever": (_lost_proposals_are_waited_for_for_ever, "is silent for"),
    "any move is legal": (_any_move_is_legal, "picked_up to cancelled"),
}  # fmt: skip
QUICK = (
    "slots are not counted",
    "keys are forgotten",
    "the fence is missing",
    "the feed has gaps",
    "a session does not count what it sends",
    "any move is legal",
    "times that customers want are passed over",
    "orders that nobody took are forgotten",
)


def finds(plant: Plant, said: str) -> bool:
    """Whether a seed shows the defect for what it is; others may show what follows from it. Each seed gets a plant of
    its own, which remembers nothing of the ones before.
    """
    for seed in range(SEEDS):
        with pytest.MonkeyPatch.context() as patch:
            try:
                run_seed(seed, plant(patch))
            except Violation as error:
                if re.search(said, str(error)):
                    return True
    return False


@pytest.mark.parametrize("name", QUICK)
def test_common_defect_is_found(name: str) -> None:
    plant, said = PLANTED[name]
    assert finds(plant, said)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in PLANTED if name not in QUICK])
def test_planted_defect_is_found(name: str) -> None:
    plant, said = PLANTED[name]
    assert finds(plant, said)
