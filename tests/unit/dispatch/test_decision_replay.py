"""Decisions that are made again from what was stored of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest

from dispatch import decision_replay, step_inputs
from dispatch import messages as m
from dispatch.decision_replay import DecisionReplays, StoredStep, decisions_of, replayed
from dispatch.domain.commands import MakeOffers
from dispatch.domain.geo import Place
from dispatch.domain.planning import PlanOrder, PlanResult, PlanState, Spot
from dispatch.plan_steps import step, step_at_once
from dispatch.step_inputs import StepInput, pack, planner_version
from dispatch.zone_actor import ZoneBehaviour
from dispatch.zone_plan import ZonePlan, ZonePlanSettings
from dispatch.zone_planning import plan_reasons
from storage.memory.plan_steps import MemoryPlanSteps
from tests.unit.dispatch.planning_worlds import NOW_S, world
from tests.unit.dispatch.test_decision_story import AT
from tests.unit.dispatch.test_order_decisions import NOW
from tests.unit.dispatch.test_zone_planning import PlannedZone, waiting


def uneven(state: PlanState, seed: int) -> PlanState:
    """The same with places and times that have all their digits."""
    chance = Random(seed)

    def moved(order: PlanOrder) -> PlanOrder:
        spot = Spot(order.dropoff.x_m + chance.random(), order.dropoff.y_m + chance.random())
        return replace(order, dropoff=spot, placed_s=order.placed_s - chance.random())

    drivers = tuple(replace(d, spot=Spot(d.spot.x_m + chance.random(), d.spot.y_m)) for d in state.drivers)
    return replace(state, orders=tuple(map(moved, state.orders)), drivers=drivers)


def made(seed: int) -> tuple[StepInput, PlanResult]:
    """A step on top of the plan of a step before, with its answer."""
    chance = Random(seed)
    state = uneven(world(seed, chance.randint(1, 14), chance.randint(1, 8)), seed)
    settings = ZonePlanSettings(
        speed_m_per_s=chance.uniform(2, 12), lead_s=chance.choice((0.0, 3.7, 900.0)),
        travel_round_s=chance.choice((0, 60)), time_scale=chance.choice((1.0, 4.0)),
    )  # fmt: skip
    before = step(state, NOW_S - 1, seed, settings).routes
    told = StepInput(
        1, round(NOW_S * 1000 / settings.time_scale), replace(state, before=before), NOW_S, seed, settings
    )
    return told, step(told.state, told.now_s, told.seed, told.settings)


def kept(told: StepInput, result: PlanResult, order: int) -> dict[str, Any]:
    """Reasons of the trip with an order, as its history keeps them."""
    [proposal] = [each for each in result.proposals if order in each.order_ids]
    reasons = plan_reasons(ZonePlan(told.settings), proposal)
    read: dict[str, Any] = orjson.loads(orjson.dumps(reasons | {"asked_ms": told.asked_ms, "at_ms": 1}))
    return read


def stored(told: StepInput, planner: str | None = None) -> StoredStep:
    return StoredStep(1, told.asked_ms, planner or planner_version(), pack(told))


async def test_replay_gives_the_very_answer_of_every_offer() -> None:
    offers = 0
    for seed in range(60):
        told, result = made(seed)
        for order in (number for proposal in result.proposals for number in proposal.order_ids):
            offers += 1
            found = await replayed(order, kept(told, result, order), stored(told), step_at_once)
            assert (found.outcome, found.differences) == ("same", ()), f"seed {seed}, order {order}"
    assert offers > 60


async def test_answer_that_depends_on_anything_else_is_found_out() -> None:
    told, result = first_made()
    order = result.proposals[0].order_ids[0]
    driver = result.proposals[0].driver_id
    without = tuple(each for each in told.state.drivers if each.id != driver)
    other = replace(told, state=replace(told.state, drivers=without))
    found = await replayed(order, kept(told, result, order), stored(other), step_at_once)
    assert found.outcome == "different"
    assert found.differences[0].part in {"proposal", "chosen.door_s", "chosen.driver_id"}


def first_made() -> tuple[StepInput, PlanResult]:
    return next((told, result) for told, result in map(made, range(100)) if result.proposals)


async def test_planner_of_another_version_says_so_and_what_came_out_otherwise() -> None:
    told, result = first_made()
    order = result.proposals[0].order_ids[0]
    reasons = kept(told, result, order)
    found = await replayed(order, reasons, stored(told, "0" * 16), step_at_once)
    assert found.outcome == "same"
    assert found.sentence() == (
        f"Made again by version {planner_version()} of the planner (it was {'0' * 16}): the same answer."
    )

    async def newer(*given: Any) -> PlanResult:
        answer = step(*given)
        [proposal, *rest] = answer.proposals
        later = replace(proposal, latest_start_s=proposal.latest_start_s + 9)
        return replace(answer, proposals=(later, *rest))

    differs = await replayed(order, reasons, stored(told, "0" * 16), newer)
    [difference] = differs.differences
    assert difference.part == "latest_start_ms"
    assert "another answer: latest_start_ms was " in differs.sentence()


async def test_step_that_is_not_stored_or_has_another_form_is_not_made_again() -> None:
    told, result = first_made()
    order = result.proposals[0].order_ids[0]
    reasons = kept(told, result, order)
    gone = await replayed(order, reasons, None, step_at_once)
    strange = await replayed(order, reasons, replace(stored(told), packed=b"?"), step_at_once)
    assert (gone.outcome, strange.outcome) == ("not_stored", "unreadable")
    assert gone.sentence() == "Not made again: the input of its step is not stored."


class History(MemoryPlanSteps):
    """Stored steps, and the history of one order."""

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        super().__init__(lambda: 0.0)
        self.events = events

    async def rows(self, name: str, *args: Any) -> list[Any]:
        return list(self.events) if name == "order_story" else await super().rows(name, *args)

    async def store(self, told: StepInput) -> None:
        args = [told.zone_id], [told.asked_ms], [told.state.number], planner_version(), [pack(told)]
        await super().rows("save_plan_steps", *args)


def event(version: int, kind: str, data: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "version": version, "type": kind, "actor_role": "dispatch", "actor_id": "zone", "reason": None, "at": AT,
        "data": data, "zone_id": 1,
    }  # fmt: skip


class LoggedZone(PlannedZone):
    """A planned zone whose steps are kept."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.kept: list[StepInput] = []
        self.behaviour = ZoneBehaviour(stepped=self.kept.append)


@pytest.mark.parametrize("time_scale", [1.0, 20.0])
async def test_offer_of_a_zone_names_the_step_from_which_it_is_made_again(time_scale: float) -> None:
    zone = LoggedZone(time_scale=time_scale)
    zone.say(m.OrderChanged(waiting(5)))
    zone.say(m.OrderChanged(waiting(6)))
    done = zone.online(7, Place(1.0031, 2.0077))
    offers = [tell for tell in done.tells if isinstance(tell.message, MakeOffers)]
    [told] = zone.kept
    history = History([])
    await history.store(told)
    assert len(offers) == 2
    for offer in offers:
        assert isinstance(offer.message, MakeOffers)
        history.events = [
            event(1, "created", None),
            event(2, "offered", {"drivers": [7], **offer.message.reasons}),
        ]
        created, offered = await decisions_of(history, offer.to.number, step_at_once)
        assert created.replay is None
        assert offered.replay is not None
        assert offered.replay.outcome == "same"
        assert offered.line().endswith("Made again: the same answer.")
        [_, plain] = await decisions_of(history, offer.to.number)
        assert plain.replay is None


def test_step_that_leads_to_no_offer_is_not_kept() -> None:
    zone = LoggedZone()
    zone.online(7)
    zone.say(m.OrderChanged(waiting(ready_ms=NOW + 600_000)))
    assert zone.asked
    assert zone.kept == []


async def history_of(decisions: int) -> tuple[History, int]:
    told, result = first_made()
    order = result.proposals[0].order_ids[0]
    reasons = {"drivers": [7], "plan": kept(told, result, order)}
    history = History([event(n, "offered", reasons) for n in range(1, decisions + 1)])
    await history.store(told)
    return history, order


async def test_newest_decisions_are_made_again_and_the_others_are_skipped() -> None:
    history, order = await history_of(3)
    found = await decisions_of(history, order, step_at_once, replays_max=2)
    assert [each.replay and each.replay.outcome for each in found] == ["skipped", "same", "same"]


async def test_decisions_of_a_request_end_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    history, order = await history_of(2)
    replays = DecisionReplays(history)
    found = await replays.decisions(order, replay=True)
    assert [each.replay and each.replay.outcome for each in found] == ["same", "same"]
    monkeypatch.setattr(decision_replay, "REPLAY_S", -1.0)
    late = await replays.decisions(order, replay=True)
    assert [each.replay and each.replay.outcome for each in late] == ["skipped", "skipped"]
    assert [each.replay for each in await replays.decisions(order, replay=False)] == [None, None]


async def test_reasons_of_a_version_that_named_no_step_are_told_and_not_made_again() -> None:
    history, order = await history_of(1)
    history.events[0]["data"]["plan"].pop("asked_ms")
    [found] = await decisions_of(history, order, step_at_once)
    assert found.replay is not None
    assert found.replay.outcome == "not_stored"


def test_version_changes_with_any_file_of_the_planner(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = planner_version()
    planner_version.cache_clear()
    monkeypatch.setattr(step_inputs, "planner_digest", lambda: "of other files")
    assert planner_version() != mine
    planner_version.cache_clear()
