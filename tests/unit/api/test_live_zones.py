"""Zones that operators of an instance look at: asked for while somebody looks, encoded once for all."""

from __future__ import annotations

from actors.clock import SystemRandomness
from actors.shards import shard_of
from api.subscriptions.live_zones import WHOLE_GAP_S, LiveZones, ZoneTick
from dispatch.zone_actor import zone_ref
from tests.support.clocks import Hands


class Page:
    """A socket that keeps what it gets."""

    def __init__(self) -> None:
        self.ticks: list[ZoneTick] = []

    def take(self, tick: ZoneTick) -> None:
        self.ticks.append(tick)


class Zones:
    """A table whose words to actors are kept."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.live = LiveZones(self.clock, SystemRandomness(), "here")
        self.asked: list[tuple[int, bool]] = []
        self.left: list[int] = []
        self.addresses: dict[int, str] = {}
        self.live.watch = self._watch
        self.live.unwatch = lambda zone, address: self.left.append(zone)

    def _watch(self, zone: int, address: str, whole: bool) -> None:
        self.asked.append((zone, whole))
        self.addresses[zone] = address


def test_first_who_looks_begins_and_the_last_ends() -> None:
    zones, one, two = Zones(), Page(), Page()
    zones.live.follow(one, 4)
    assert zones.asked == [(4, True)]
    zones.live.follow(two, 4)
    zones.live.unfollow(one, 4)
    assert zones.left == []
    zones.live.unfollow(two, 4)
    assert zones.left == [4]
    zones.live.unfollow(two, 4)
    assert not zones.live.emit(zones.addresses[4], {"run": 1, "n": 1})


def test_tick_is_encoded_once_and_reaches_who_follows_its_zone() -> None:
    zones, one, two, other = Zones(), Page(), Page(), Page()
    zones.live.follow(one, 4)
    zones.live.follow(two, 4)
    zones.live.follow(other, 5)
    assert zones.live.emit(zones.addresses[4], {"run": 1, "n": 1})
    assert one.ticks[0] is two.ticks[0]
    assert one.ticks[0].text == '{"run":1,"n":1}'
    assert other.ticks == []


def test_address_ends_in_the_instance_so_that_ticks_find_it() -> None:
    zones = Zones()
    zones.live.follow(Page(), 4)
    assert zones.addresses[4].endswith("@here")


def test_whole_is_not_asked_for_all_the_time() -> None:
    zones = Zones()
    for _ in range(10):
        zones.live.follow(Page(), 4)
    assert zones.asked == [(4, True)]
    zones.clock.now += WHOLE_GAP_S
    zones.live.want_whole(4)
    assert zones.asked == [(4, True)] * 2
    zones.live.want_whole(99)


def test_new_owner_of_a_zone_is_told_at_once() -> None:
    zones = Zones()
    zones.live.follow(Page(), 4)
    zones.live.owner_changed({shard_of(zone_ref(4))})
    assert zones.asked == [(4, True)] * 2
    zones.live.owner_changed(set())
    assert zones.asked == [(4, True)] * 2
