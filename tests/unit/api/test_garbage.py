"""When the young are looked at for cycles, and when they are only put aside."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from api.server.watchdogs import GC_LOOK, collect_young


class Ring:
    """Refers to itself: nothing but the collector ends it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def quiet() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def lost() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


def test_one_turn_in_ten_looks_while_nothing_is_found(quiet: None) -> None:
    for turn in range(1, GC_LOOK):
        ring = lost()
        assert collect_young(turn, 0) == 0
        assert ring() is not None
    ring = lost()
    assert collect_young(GC_LOOK, 0) > 0
    assert ring() is None


def test_every_turn_looks_while_something_is_found(quiet: None) -> None:
    ring = lost()
    assert collect_young(1, 5) > 0
    assert ring() is None
    assert collect_young(2, 5) == 0


def test_what_was_put_aside_is_found_when_everything_melts(quiet: None) -> None:
    ring = lost()
    collect_young(1, 0)
    gc.collect()
    assert ring() is not None
    gc.unfreeze()
    gc.collect()
    assert ring() is None
