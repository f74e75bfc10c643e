"""Seeded storms: they hold, they repeat exactly, and they find what is planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.steps import Step
from dispatch import messages as m
from dispatch.driver_actor import DriverBehaviour
from dispatch.driver_state import DriverState
from storage.memory.journal import MemoryJournal
from tests.simulation.checks import Violation
from tests.simulation.run import run_seed
from tests.simulation.wires import Faults

KEPT = [int(line) for line in (Path(__file__).parent / "seeds.txt").read_text().split() if line.isdigit()]


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_storm_breaks_no_promise(first: int) -> None:
    for seed in range(first, first + 10):
        assert run_seed(seed).orders > 10


@pytest.mark.parametrize("seed", KEPT)
def test_seed_that_once_failed_holds(seed: int) -> None:
    assert run_seed(seed).orders > 10


@pytest.mark.long
@pytest.mark.parametrize("first", range(1_000, 2_000, 50))
def test_thousand_storms_break_no_promise(first: int) -> None:
    for seed in range(first, first + 50):
        assert run_seed(seed).orders > 10


def test_same_seed_is_the_same_run() -> None:
    first, again, other = run_seed(7), run_seed(7), run_seed(8)
    assert first == again
    assert first.trace != other.trace


def _every_slot_is_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryJournal, "_slot", lambda self, item: ("ok", 0))


def _keys_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    place = MemoryJournal._place

    def forgetful(self: MemoryJournal, request: Any) -> dict[str, Any]:
        self.keys.clear()
        return place(self, request)

    patch.setattr(MemoryJournal, "_place", forgetful)


def _gaps_are_not_noticed(patch: pytest.MonkeyPatch) -> None:
    def careless(self: DriverBehaviour, state: DriverState, entry: m.Entry) -> Step:
        return self._append(state, (entry,))

    patch.setattr(DriverBehaviour, "_grew", careless)


def _any_move_is_legal(patch: pytest.MonkeyPatch) -> None:
    from dispatch.domain import order

    patch.setitem(order.TRANSITIONS, ("picked_up", "cancelled"), "cancelled")
    patch.setattr(
        "storage.memory.journal.LEGAL_MOVES",
        frozenset((a, b) for a in order.STATUSES for b in order.STATUSES),
    )


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "slots are not counted": _every_slot_is_free,
    "keys are forgotten": _keys_are_forgotten,
    "gaps in the feed are not noticed": _gaps_are_not_noticed,
    "any move is legal": _any_move_is_legal,
}


def _find(faults: Faults | None = None) -> str:
    """The first violation within 100 seeds."""
    for seed in range(100):
        try:
            run_seed(seed, faults)
        except Violation as error:
            return str(error)
    return ""


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_planted_defect_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert _find()


def test_missing_fence_is_found() -> None:
    # The version check, the second wall, hides most of them: it takes many late ones and many kills.
    faults = Faults(lands_late=0.3, late_s=3.0, kill_every_s=4.0, planted="no_fence")
    assert "stale owner" in _find(faults)


def test_answer_before_the_commit_is_found() -> None:
    assert "seed" in _find(Faults(planted="ack_early"))
