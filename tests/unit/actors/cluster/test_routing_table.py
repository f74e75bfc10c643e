"""Where each shard is served, as far as this instance knows."""

from __future__ import annotations

from actors.cluster.leases import Tick
from actors.cluster.routing_table import RoutingTable


def _tick(at: float, **holders: str) -> Tick:
    known = {int(name[1:]): holder for name, holder in holders.items()}
    return Tick(at, "g", False, (), tuple(known.get(s, "") for s in range(256)))


def _routing_table() -> tuple[RoutingTable, list[int]]:
    moved: list[int] = []
    return RoutingTable(moved.extend), moved


def _nothing(shard: int) -> bool:
    del shard
    return False


def test_ticks_say_who_serves() -> None:
    routing_table, moved = _routing_table()
    routing_table.learn(_tick(1.0, s3="ann.1"), "me.1", _nothing)
    assert routing_table.owner(3) == "ann.1"
    assert moved == [3]


def test_same_news_is_no_news() -> None:
    routing_table, moved = _routing_table()
    for second in (1.0, 2.0):
        routing_table.learn(_tick(second, s3="ann.1"), "me.1", _nothing)
    assert moved == [3]


def test_what_a_peer_said_outlives_an_older_tick() -> None:
    routing_table, _ = _routing_table()
    routing_table.hear("bob.1", [(3, 7)], now=5.0)
    routing_table.learn(_tick(4.9, s3="ann.1"), "me.1", _nothing)
    assert routing_table.owner(3) == "bob.1"
    routing_table.learn(_tick(5.1, s3="ann.1"), "me.1", _nothing)
    assert routing_table.owner(3) == "ann.1"


def test_older_epoch_is_not_believed() -> None:
    routing_table, moved = _routing_table()
    routing_table.hear("bob.1", [(3, 7)], now=5.0)
    routing_table.hear("ann.1", [(3, 6)], now=6.0)
    assert routing_table.owner(3) == "bob.1"
    assert moved == [3]


def test_new_epoch_of_the_same_owner_is_news() -> None:
    routing_table, moved = _routing_table()
    routing_table.hear("bob.1", [(3, 7)], now=5.0)
    routing_table.hear("bob.1", [(3, 8)], now=6.0)
    assert moved == [3, 3], "its actors have forgotten their sessions"


def test_lease_of_ours_that_we_have_not_claimed_is_no_ownership() -> None:
    routing_table, moved = _routing_table()
    routing_table.learn(_tick(1.0, s3="me.1"), "me.1", _nothing)
    assert routing_table.owner(3) == ""
    assert not moved


def test_the_dead_serve_nothing() -> None:
    routing_table, _ = _routing_table()
    routing_table.hear("bob.1", [(3, 7), (4, 7)], now=5.0)
    routing_table.hear("ann.1", [(5, 7)], now=5.0)
    routing_table.forget_all("bob.1")
    assert [routing_table.owner(s) for s in (3, 4, 5)] == ["", "", "ann.1"]
    assert routing_table.counts() == {"": 255, "ann.1": 1}


def test_only_the_named_owner_is_forgotten() -> None:
    routing_table, _ = _routing_table()
    routing_table.hear("bob.1", [(3, 7)], now=5.0)
    routing_table.forget(3, "ann.1")
    assert routing_table.owner(3) == "bob.1"
