"""The sender on a store in memory and a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from dispatch.webhooks.delivery import REQUEST_S_MAX
from dispatch.webhooks.sender import LEASE_S
from dispatch.webhooks.store import QueryStore
from dispatch.webhooks.values import Answer, Message, Settlement
from storage.errors import Unreachable
from tests.simulation.loop import simulated
from tests.support.webhooks import GOOD, Says, WebhookWorld, killed_after

DAY_S = 86_400.0
Story = Callable[[WebhookWorld], Coroutine[Any, Any, None]]


def tell(story: Story, seed: int = 1) -> None:
    """Run a story on a loop that owns time."""
    with simulated(seed) as loop:
        loop.run_until_complete(story(WebhookWorld(loop, seed)))


def _ids(*positions: int) -> list[str]:
    return [f"evt_{pos}" for pos in positions]


def _until(count: int, answer: Answer, of: str | None = None) -> Says:
    """This answer to the first so many messages, or to those of an event; then a good one."""
    failed = [0]

    def says(message: Message, number: int) -> Answer:
        del number
        if (of is None or message.id == of) and failed[0] < count:
            failed[0] += 1
            return answer
        return GOOD

    return says


def test_every_endpoint_gets_every_event_in_order() -> None:
    async def story(world: WebhookWorld) -> None:
        for number in (1, 2, 3):
            await world.endpoint(number)
        world.happen(130)
        await world.send_for(20)
        for number in (1, 2, 3):
            assert world.receivers.attempts(number) == _ids(*range(1, 131))
            assert world.webhooks.endpoints[number].reached == 130
        assert len(world.webhooks.attempts) == 390

    tell(story)


def test_event_is_sent_within_moments_when_the_sender_is_woken() -> None:
    async def story(world: WebhookWorld) -> None:
        await world.endpoint(1)
        sender, stop = world.sender(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sender.run(stop))
            await asyncio.sleep(7.3)
            world.happen()
            sender.wake()
            await asyncio.sleep(0.05)
            assert world.receivers.ids(1) == _ids(1)
            stop.set()

    tell(story)


def test_filters_choose_by_type_zone_and_store_and_the_cursor_passes_the_rest() -> None:
    async def story(world: WebhookWorld) -> None:
        filters: Sequence[dict[str, Any]] = [
            {"types": ["stock.out"]}, {"zone_ids": [2]}, {"store_ids": [7, 8]}, {"owner_store_id": 9},
            {"types": ["stock.out"], "zone_ids": [2]},
        ]  # fmt: skip
        for number, values in enumerate(filters, 1):
            await world.endpoint(number, **values)
        world.happen(kind="order.created", zone=1, stores=[1])
        world.happen(kind="stock.out", zone=1, stores=[7])
        world.happen(kind="order.created", zone=2, stores=[8, 9])
        world.happen(kind="stock.out", zone=2, stores=[1])
        world.happen(kind="payment.held", zone=None, stores=[])
        world.happen(kind="order.created", zone=1, stores=[1])
        await world.send_for(5)
        got = {number: world.receivers.ids(number) for number in range(1, 6)}
        assert got == {1: _ids(2, 4), 2: _ids(3, 4), 3: _ids(2, 3), 4: _ids(3), 5: _ids(4)}
        # An endpoint is woken by types alone, so that others see the rest when the next wanted type comes.
        assert [one.reached for one in world.webhooks.endpoints.values()] == [6, 6, 6, 6, 6]

    tell(story)


def test_rare_type_behind_many_unwanted_events_is_found() -> None:
    async def story(world: WebhookWorld) -> None:
        await world.endpoint(1, types=["stock.out"])
        world.happen(12_000)
        world.happen(kind="stock.out")
        await world.send_for(5)
        assert world.receivers.ids(1) == _ids(12_001)

    tell(story)


def test_receiver_that_hangs_delays_no_other() -> None:
    async def story(world: WebhookWorld) -> None:
        for number in range(1, 31):
            await world.endpoint(number)
        world.receivers.takes_s[1] = 15.0
        world.receivers.says[1] = lambda *_: Answer(None, "timeout")
        world.happen(20)
        await world.send_for(3)
        assert [len(world.receivers.ids(number)) for number in range(2, 31)] == [20] * 29

    tell(story)


def test_more_endpoints_that_hang_than_there_is_room_leave_half_of_it_to_the_others() -> None:
    async def story(world: WebhookWorld) -> None:
        for number in range(1, 101):
            await world.endpoint(number)
            if number <= 90:
                world.receivers.takes_s[number] = 15.0
                world.receivers.says[number] = lambda *_: Answer(None, "timeout")
        world.happen()
        sender, stop = world.sender(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sender.run(stop))
            await asyncio.sleep(60)
            world.happen()
            sender.wake()
            await asyncio.sleep(1)
            assert [len(world.receivers.ids(number)) for number in range(91, 101)] == [2] * 10
            stop.set()

    tell(story)


def test_event_that_fails_is_tried_by_the_schedule_and_blocks_those_behind_it() -> None:
    async def story(world: WebhookWorld) -> None:
        await world.endpoint(1)
        world.receivers.says[1] = _until(3, Answer(503), of="evt_2")
        world.happen(4)
        await world.send_for(1)
        assert world.receivers.attempts(1) == _ids(1, 2)
        await world.send_for(60)
        assert world.receivers.attempts(1) == _ids(1, 2, 2, 2)
        await world.send_for(300)
        assert world.receivers.attempts(1) == _ids(1, 2, 2, 2, 2, 3, 4)
        assert world.webhooks.endpoints[1].failures == 0

    tell(story)


def test_new_events_do_not_hurry_an_endpoint_that_fails() -> None:
    async def story(world: WebhookWorld) -> None:
        await world.endpoint(1)
        world.receivers.says[1] = lambda *_: Answer(500)
        for _ in range(100):
            world.happen()
            await world.send_for(0.2)
        assert len(world.receivers.got[1]) <= 3

    tell(story)


def test_retry_after_is_respected() -> None:
    async def story(world: WebhookWorld) -> None:
        await world.endpoint(1)
        world.receivers.says[1] = _until(1, Answer(429, retry_after_s=3600.0))
        world.happen()
        await world.send_for(3599)
        assert len(world.receivers.got[1]) == 1
        await world.send_for(10)
        assert world.receivers.ids(1) == _ids(1)

    tell(story)


def test_refused_event_becomes_a_dead_letter_and_can_be_replayed() -> None:
    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1)
        world.receivers.says[1] = _until(5, Answer(422), of="evt_2")
        world.happen(3)
        await world.send_for(3000)
        assert world.receivers.ids(1) == _ids(1, 3)
        assert one.dead == {2: 422}
        await world.webhooks.value("webhook_replay", 1, _replay(2, 2), 10)
        await world.send_for(5)
        assert one.dead == {}
        assert world.receivers.taken[1][-1].replay

    tell(story)


def test_strict_endpoint_stops_at_a_refused_event() -> None:
    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1, on_refused="stop")
        world.receivers.says[1] = lambda *_: Answer(400)
        world.happen(3)
        await world.send_for(3000)
        assert world.receivers.attempts(1) == _ids(1, 1, 1, 1, 1)
        assert (one.disabled_why, one.reached) == ("refused", 0)

    tell(story)


@pytest.mark.parametrize(("from_now", "got"), [(False, [3, 4, 5]), (True, [5])])
def test_endpoint_that_is_gone_keeps_its_place_until_it_is_enabled(
    from_now: bool,
    got: list[int],
) -> None:
    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1)
        world.receivers.says[1] = _until(1, Answer(410), of="evt_3")
        world.happen(4)
        await world.send_for(600)
        assert world.receivers.ids(1) == _ids(1, 2)
        assert (one.disabled_why, world.observer.ends) == ("gone", [(1, "gone")])
        await world.webhooks.value("webhook_enable", 1, from_now)
        world.happen()
        await world.send_for(5)
        assert world.receivers.ids(1) == _ids(1, 2, *got)

    tell(story)


def test_endpoint_that_fails_for_three_days_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.webhooks.sender.POLL_S", 300.0)

    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1)
        world.receivers.says[1] = lambda *_: Answer(500)
        world.happen()
        await world.send_for(2.9 * DAY_S)
        assert one.disabled_why is None
        await world.send_for(1.5 * DAY_S)
        assert one.disabled_why == "failing"
        assert one.reached == 0
        assert 11 <= len(world.receivers.got[1]) <= 16

    tell(story)


def _replay(first: int, last: int, types: Sequence[str] = ()) -> dict[str, Any]:
    return {"from_pos": first, "to_pos": last, "since": None, "types": [*types], "by_id": 1}


def test_replay_sends_the_same_bytes_beside_the_cursor() -> None:
    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1)
        world.happen(60)
        world.happen(60, "order.delivered")
        await world.send_for(5)
        first = {message.id: message.body for message in world.receivers.got[1]}
        await world.webhooks.value("webhook_replay", 1, _replay(10, 120, ["order.delivered"]), 10)
        world.happen(2)
        await world.send_for(5)
        again = [message for message in world.receivers.got[1][120:] if message.replay]
        assert [message.id for message in again] == _ids(*range(61, 121))
        assert all(first[message.id] == message.body for message in again)
        assert one.reached == 122
        assert one.replays[0].done

    tell(story)


def test_replay_that_fails_delays_no_new_event() -> None:
    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1)
        world.happen(3)
        await world.send_for(2)
        world.receivers.says[1] = lambda message, _: Answer(500) if message.replay else GOOD
        await world.webhooks.value("webhook_replay", 1, _replay(1, 3), 10)
        await world.send_for(2)
        world.happen()
        await world.send_for(2)
        assert world.receivers.ids(1) == _ids(1, 2, 3, 4)
        assert (one.replays[0].done, one.failures) == (False, 0)
        world.receivers.says.clear()
        await world.send_for(600)
        assert one.replays[0].done

    tell(story)


def test_ping_is_sent_once_also_to_a_disabled_endpoint() -> None:
    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1)
        await world.webhooks.value("webhook_change", 1, None, {"disabled": True})
        await world.webhooks.value("webhook_ping", 1, "ping_1")
        world.happen()
        world.receivers.says[1] = lambda *_: Answer(500)
        await world.send_for(600)
        assert world.receivers.attempts(1) == ["ping_1"]
        assert b'"type":"ping"' in world.receivers.got[1][0].body
        assert (one.ping, one.errand_s) == (None, None)

    tell(story)


def test_events_that_were_deleted_unsent_are_told_once() -> None:
    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1)
        world.happen(10)
        world.webhooks.log_begin = 7
        world.receivers.says[1] = _until(2, Answer(500))
        await world.send_for(100)
        assert world.receivers.ids(1) == ["gap_1_6", *_ids(7, 8, 9, 10)]
        assert world.receivers.attempts(1)[:3] == ["gap_1_6"] * 3
        assert one.gap == (1, 6)

    tell(story)


def test_host_that_is_busy_is_no_failure() -> None:
    async def story(world: WebhookWorld) -> None:
        one = await world.endpoint(1)
        world.receivers.says[1] = lambda _, number: None if number < 3 else GOOD
        world.happen()
        await world.send_for(10)
        assert world.receivers.ids(1) == _ids(1)
        assert (len(world.webhooks.attempts), one.failures) == (1, 0)

    tell(story)


def test_stop_ends_in_order_so_that_nothing_is_repeated() -> None:
    async def story(world: WebhookWorld) -> None:
        for number in (1, 2):
            await world.endpoint(number)
        world.receivers.takes_s = {1: 0.07, 2: 0.9}
        world.happen(40)
        for _ in range(60):
            await world.send_for(1.03)
        for number in (1, 2):
            assert world.receivers.attempts(number) == _ids(*range(1, 41))

    tell(story)


@pytest.mark.parametrize("seed", range(20))
def test_kills_lose_nothing_and_keep_the_order(seed: int) -> None:
    async def story(world: WebhookWorld) -> None:
        for number in range(1, 6):
            await world.endpoint(number)
        world.receivers.says[2] = lambda _, number: Answer(500) if number % 7 < 2 else GOOD
        stop = asyncio.Event()
        for _ in range(8):
            world.happen(25)
            await killed_after(2 + 3 * world.entropy.random(), lambda: world.sender().run(stop))
        await world.send_for(4000)
        for number in range(1, 6):
            assert world.receivers.ids(number) == _ids(*range(1, 201))
        repeats = sum(len(got) for got in world.receivers.taken.values()) - 5 * 200
        assert repeats <= 8 * 5 * 11, "what 100 ms can hold"

    tell(story, seed)


def test_two_senders_never_send_to_one_endpoint_at_once() -> None:
    async def story(world: WebhookWorld) -> None:
        for number in range(1, 6):
            await world.endpoint(number)
        world.happen(300)
        await world.send_for(30, world.sender(), world.sender(), world.sender())
        assert not world.receivers.overlaps
        for number in range(1, 6):
            assert world.receivers.attempts(number) == _ids(*range(1, 301))

    tell(story)


class Shaky(QueryStore):
    """A store that loses calls and answers by chance."""

    def __init__(self, world: WebhookWorld, lost: float) -> None:
        super().__init__(world.webhooks, world.clock)
        self._world = world
        self._lost = lost

    async def settle(self, items: Sequence[Settlement], lease_s: float) -> frozenset[int]:
        if self._world.entropy.random() < self._lost:
            raise Unreachable("the request was lost")
        held = await super().settle(items, lease_s)
        if self._world.entropy.random() < self._lost:
            raise Unreachable("the answer was lost")
        return held


@pytest.mark.parametrize("seed", range(20))
def test_lost_settlements_lose_nothing_and_record_no_attempt_twice(seed: int) -> None:
    async def story(world: WebhookWorld) -> None:
        for number in (1, 2, 3):
            await world.endpoint(number)
        world.happen(120)
        await world.send_for(200, world.sender(Shaky(world, 0.3)), world.sender(Shaky(world, 0.3)))
        assert not world.receivers.overlaps
        for number in (1, 2, 3):
            assert world.receivers.ids(number) == _ids(*range(1, 121))
            recorded = [one["message"] for whose, one in world.webhooks.attempts if whose == number]
            assert len(recorded) <= len(world.receivers.got[number])

    tell(story, seed)


def test_store_that_can_never_settle_does_not_have_events_sent_again_and_again() -> None:
    async def story(world: WebhookWorld) -> None:
        await world.endpoint(1)
        world.happen(1)
        for _ in range(60):  # each a new process
            await killed_after(60.0, lambda: world.sender(Shaky(world, 1.0)).run(asyncio.Event()))
        # An hour has 120 leases. Each one is twice as long as the one before, up to half an hour.
        assert len(world.receivers.got[1]) <= 8

    tell(story)


def test_sender_sends_nothing_when_its_lease_may_be_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.webhooks.delivery.TURN_S", 1000.0)
    monkeypatch.setattr("dispatch.webhooks.settling.UNWRITTEN_MAX", 1000)

    async def story(world: WebhookWorld) -> None:
        await world.endpoint(1)
        world.happen(200)
        world.receivers.takes_s[1] = 1.0
        await killed_after(LEASE_S - 1, lambda: world.sender(Shaky(world, 1.0)).run(asyncio.Event()))
        # The rest of the lease is for the request under way.
        assert len(world.receivers.got[1]) <= LEASE_S - REQUEST_S_MAX + 1

    tell(story)


def test_changed_address_is_tried_at_once_and_used_from_then_on() -> None:
    async def story(world: WebhookWorld) -> None:
        await world.endpoint(1)
        world.receivers.says[1] = lambda message, _: Answer(500) if "old" in message.url else GOOD
        await world.webhooks.value("webhook_change", 1, None, {"url": "https://old.example/"})
        world.happen()
        await world.send_for(1000)
        await world.webhooks.value("webhook_change", 1, None, {"url": "https://new.example/"})
        await world.send_for(2)
        assert world.receivers.ids(1) == _ids(1)

    tell(story)
