"""The runtime with a toy actor: turns, gate, group commit, retries, settling, passivation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from actors.behaviour import Commit, Done, Outcome, Step, newest_wins
from actors.clock import LoopClock, SystemRandomness
from actors.dedup import Ring, make_command, remember, ring_from
from actors.errors import (
    ActorCrashed,
    ActorError,
    CommandReused,
    DeadlinePassed,
    NoSuchActor,
    NotWritten,
    OutcomeUnknown,
    Overloaded,
    Unanswered,
    WrongOwner,
)
from actors.messages import (
    ActorId,
    Delivery,
    Due,
    Emit,
    Envelope,
    Query,
    QueryAnswer,
    QueryFailed,
    Tell,
    Turn,
)
from actors.ports import Blocker, Claim, ShardRow
from actors.runtime import Runtime
from actors.shards import shard_of
from actors.tracing import NO_TRACER, Tracer
from tests.support.waiting import turn, until


@dataclass(frozen=True)
class Count:
    """A counter: its value is in the row, what it heard is not."""

    value: int
    version: int
    recent: Ring = ()
    heard: tuple[str, ...] = ()


class Counter:
    """`add` commits, `get` does not, `boom` fails, `lost` is refused by a guard."""

    kind = "counter"
    mailbox_limit = 4
    supersedes = staticmethod(newest_wins)

    def __init__(self) -> None:
        self.turns: list[object] = []

    def restore(self, number: int, row: Mapping[str, Any], previous: Any) -> Count:
        heard = previous.heard if previous is not None else ()
        return Count(row["value"], row["version"], ring_from(row["recent"]), heard)

    def activated(self, state: Count, turn: Turn) -> Done:
        return Done()

    def idle_s(self, state: Count) -> float | None:
        return 10.0

    def decide(self, state: Count, message: object, turn: Turn) -> Step:
        self.turns.append(message)
        match message:
            case "get":
                return Done(reply=state.value)
            case "boom":
                raise RuntimeError("a bug")
            case "read":
                return Done(queries=(Query("anything", (1,)),))
            case QueryAnswer():
                return Done(state=replace(state, heard=(*state.heard, message.result)))
            case "heard":
                return Done(reply=state.heard)
            case QueryFailed():
                return Done(state=replace(state, heard=(*state.heard, "failed")))
            case Due():
                return Done(state=replace(state, heard=(*state.heard, f"due {message.at_ms}")))
            case _:
                return self._add(state, str(message), turn)

    def _add(self, state: Count, message: str, turn: Turn) -> Commit:
        value = state.value + 1
        recent = remember(state.recent, turn.command, value)
        item = {
            "kind": "counter", "id": int(message.split()[-1]) if message[-1].isdigit() else 1,
            "version": state.version, "value": value, "recent": [list(e) for e in recent], "message": message,
        }  # fmt: skip

        def then(outcome: Outcome) -> Done:
            if not outcome.ok:
                return Done(reply=outcome.code)
            return Done(
                state=replace(state, value=value, version=state.version + 1, recent=recent),
                reply=value,
                tells=(Tell(ActorId("counter", 2), "get"),) if message == "add and tell" else (),
                emits=(Emit("session", Delivery.RELIABLE, value),),
            )

        return Commit(item, then)


class Table:
    """A journal of counters, with faults to order."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {
            n: {"id": n, "value": 0, "version": 1, "recent": [], "writer": ""} for n in range(1, 2000)
        }
        self.epochs = [1] * 256
        self.batches: list[list[str]] = []
        self.loads: list[list[int]] = []
        self.hold: asyncio.Event | None = None
        self.fault: Callable[[Sequence[Mapping[str, Any]]], None] = lambda _: None
        self.lose_answer = False
        self.reading = asyncio.Event()
        self.timers: list[tuple[ActorId, int]] = []
        self.wall_s, self.began = 1_790_000_000.0, asyncio.get_running_loop().time()
        # Who holds which row; hidden: no look shows it.
        self.locks: dict[str, int] = {}
        self.hidden: set[str] = set()

    async def wall(self) -> float:
        return self.wall_s + asyncio.get_running_loop().time() - self.began

    async def claim(
        self, shards: Sequence[int], owner: str, incarnation: str, expected: Sequence[int] | None = None
    ) -> list[Claim]:
        claims = []
        for index, shard in enumerate(shards):
            previous = self.epochs[shard]
            mine = expected is None or expected[index] == previous
            claims.append(Claim(shard, previous + 1 if mine else None, previous))
            self.epochs[shard] = previous + mine
        return claims

    async def shards(self) -> list[ShardRow]:
        return [ShardRow(epoch, "one") for epoch in self.epochs]

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        self.loads.append(list(numbers))
        return {n: dict(self.rows[n]) for n in numbers if n in self.rows}

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        self.batches.append([item["message"] for item in items])
        if self.hold is not None:
            await self.hold.wait()
        self.fault(items)
        if any(f"counter {item['id']}" in {*self.locks, *self.hidden} for item in items):
            raise NotWritten("locked", locked=True)
        outcomes = [self._write(item) for item in items]
        if self.lose_answer:
            self.lose_answer = False
            raise Unanswered("lost on the way back")
        return outcomes

    def needs(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        return (f"counter {item['id']}",)

    async def blocked(self, items: Sequence[Mapping[str, Any]]) -> list[Blocker | None]:
        keys = [self.needs(item)[0] for item in items]
        return [Blocker(k, k, self.locks[k], application="psql") if k in self.locks else None for k in keys]

    def _write(self, item: Mapping[str, Any]) -> Outcome:
        row = self.rows[item["id"]]
        if self.epochs[item["shard"]] != item["epoch"]:
            return Outcome("stale", {})
        if row["version"] != item["version"]:
            return Outcome("version", {})
        if item["message"] == "lost":
            return Outcome("guard", {})
        row.update(
            value=item["value"], version=row["version"] + 1, recent=item["recent"], writer=item["writer"]
        )
        return Outcome("ok", {})

    async def due(
        self, shards: Sequence[int], from_ms: int, until_ms: int, limit: int
    ) -> list[tuple[ActorId, int]]:
        return [t for t in self.timers if from_ms <= t[1] <= until_ms]

    async def due_ahead(
        self, shards: Sequence[int], now_ms: int, limit: int
    ) -> list[tuple[ActorId, int, int]]:
        return [(actor, due, 50) for actor, due in self.timers if due > now_ms + 5000]

    async def read(self, query: Query) -> Any:
        self.reading.set()
        return "answer"


@dataclass
class Frames:
    """An emitter that keeps what it was given."""

    sent: list[Emit] = field(default_factory=list)

    def emit(self, emit: Emit, trace: str) -> None:
        self.sent.append(emit)


class Stage:
    """A running runtime with its table."""

    def __init__(self, tracer: Tracer = NO_TRACER) -> None:
        self.table = Table()
        self.counter = Counter()
        self.frames = Frames()
        self.lost = asyncio.Event()
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.runtime = Runtime(
            instance="one", behaviours=[self.counter], journal=self.table,
            emitter=self.frames, clock=LoopClock(asyncio.get_running_loop()), entropy=SystemRandomness(),
            lost=lambda shard: self.lost.set(), log=lambda event, **values: self.said.append((event, values)),
            tracer=tracer,
        )  # fmt: skip

    def ask(self, message: str, number: int = 1, **options: Any) -> Coroutine[Any, Any, Any]:
        return self.runtime.ask(ActorId("counter", number), message, **options)


@asynccontextmanager
async def staged(tracer: Tracer = NO_TRACER) -> AsyncIterator[Stage]:
    stage = Stage(tracer)
    async with stage.runtime.running():
        yield stage


async def _many(*asks: Coroutine[Any, Any, Any]) -> list[Any]:
    async def settle(ask: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await ask
        except ActorError as error:
            return type(error)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(settle(ask)) for ask in asks]
    return [task.result() for task in running]


async def test_reply_waits_for_the_commit() -> None:
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        stage.table.hold = asyncio.Event()
        ask = tasks.create_task(stage.ask("add"))
        await until(lambda: stage.table.batches)
        assert not ask.done()
        assert stage.frames.sent == []
        stage.table.hold.set()
        assert await ask == 1
        assert [e.frame for e in stage.frames.sent] == [1]


async def test_messages_wait_while_a_commit_is_under_way_and_see_its_state() -> None:
    async with staged() as stage:
        assert await _many(stage.ask("add"), stage.ask("get"), stage.ask("add"), stage.ask("get")) == [
            1,
            1,
            2,
            2,
        ]


async def test_what_piles_up_is_one_batch() -> None:
    async with staged() as stage:
        stage.table.hold = asyncio.Event()
        numbers = [n for n in range(1, 200) if shard_of(ActorId("counter", n)) % 2 == 0][:20]
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(stage.ask(f"add {numbers[0]}", numbers[0]))
            await until(lambda: stage.table.batches)
            rest = [tasks.create_task(stage.ask(f"add {n}", n)) for n in numbers[1:]]
            await until(lambda: len(stage.runtime.lanes[0]) == 19)
            stage.table.hold.set()
        assert first.result() == 1
        assert [task.result() for task in rest] == [1] * 19
        assert [len(batch) for batch in stage.table.batches] == [1, 19]


async def test_next_batch_is_sent_before_the_last_one_is_told() -> None:
    async with staged() as stage:
        flush, told_before = stage.table.flush, []

        async def spy(lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
            told_before.append(len(stage.frames.sent))
            return await flush(lane, items)

        stage.table.flush = spy  # type: ignore[method-assign]
        stage.table.hold = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(stage.ask("add 1", 1))
            await until(lambda: stage.table.batches)
            second = tasks.create_task(stage.ask("add 3", 3))
            await until(lambda: len(stage.runtime.lanes[0]) == 1)
            stage.table.hold.set()
        assert (first.result(), second.result()) == (1, 1)
        assert told_before == [0, 0]


async def test_runtime_that_ends_gives_the_answers_that_the_journal_has_given() -> None:
    async with asyncio.TaskGroup() as tasks:
        async with staged() as stage:
            stage.table.hold = asyncio.Event()
            asks = [tasks.create_task(stage.ask(f"add {n}", n)) for n in (1, 3)]
            await until(lambda: stage.table.batches)
            stage.table.hold.set()
        assert stage.runtime.gated == 0
    assert [ask.result() for ask in asks] == [1, 1]


async def test_nothing_is_kept_of_a_question_that_was_answered() -> None:
    async with staged() as stage:
        assert await stage.ask("add") == 1
        assert len(stage.runtime._deadlines) == 0


async def test_guard_keeps_the_committed_state_and_answers() -> None:
    async with staged() as stage:
        assert await stage.ask("lost") == "guard"
        assert await stage.ask("get") == 0


async def test_same_command_has_one_effect_and_the_same_answer() -> None:
    command = make_command("driver:1", "add", "1", "key", b"body")
    async with staged() as stage:
        assert await _many(*(stage.ask("add", command=command) for _ in range(3))) == [1, 1, 1]
        assert stage.table.rows[1]["value"] == 1
        with pytest.raises(CommandReused):
            await stage.ask("add", command=make_command("driver:1", "add", "1", "key", b"other"))


async def test_same_command_is_remembered_by_the_row_after_a_restart() -> None:
    command = make_command("driver:1", "add", "1", "key")
    async with staged() as stage:
        await stage.ask("add", command=command)
        rows = stage.table.rows
    async with staged() as stage:
        stage.table.rows = rows
        assert await stage.ask("add", command=command) == 1
        assert rows[1]["value"] == 1


async def test_full_mailbox_refuses_at_once() -> None:
    async with staged() as stage:
        stage.table.hold = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(stage.ask("add"))
            await until(lambda: stage.table.batches)
            rest = tasks.create_task(_many(*(stage.ask("add") for _ in range(6))))
            await until(lambda: stage.runtime.counters.refusals["Overloaded"] == 2)
            stage.table.hold.set()
        assert first.result() == 1
        assert rest.result().count(Overloaded) == 2


async def test_expired_message_never_starts() -> None:
    async with staged() as stage:
        with pytest.raises(DeadlinePassed):
            await stage.ask("get", budget_s=0)
        assert stage.counter.turns == []


async def test_budget_that_ends_in_a_commit_is_an_unknown_outcome() -> None:
    async with staged() as stage:
        stage.table.hold = asyncio.Event()
        with pytest.raises(OutcomeUnknown):
            await stage.ask("add", budget_s=0.01)
        stage.table.hold.set()
        assert await stage.ask("get") == 1


async def test_unknown_number_is_no_actor_and_is_remembered_for_a_moment() -> None:
    async with staged() as stage:
        for _ in range(3):
            with pytest.raises(NoSuchActor):
                await stage.ask("get", 999_999)
        assert len(stage.table.loads) == 1


async def test_misses_of_one_moment_are_one_query() -> None:
    async with staged() as stage:
        assert await _many(*(stage.ask("get", n) for n in range(1, 101))) == [0] * 100
        assert [len(numbers) for numbers in stage.table.loads] == [100]


async def test_sick_actor_is_reloaded_and_harms_nobody() -> None:
    async with staged() as stage:
        await stage.ask("add")
        assert await _many(stage.ask("boom"), stage.ask("get"), stage.ask("get", 2)) == [ActorCrashed, 1, 0]


async def test_row_that_moved_is_read_again_and_the_message_decided_anew() -> None:
    async with staged() as stage:
        assert await stage.ask("add") == 1
        stage.table.rows[1].update(value=10, version=7)
        assert await stage.ask("add") == 11


async def test_poisoned_item_is_found_and_the_others_are_written() -> None:
    def poison(items: Sequence[Mapping[str, Any]]) -> None:
        if any(item["message"].startswith("poison") for item in items):
            raise NotWritten("invalid byte")

    async with staged() as stage:
        stage.table.fault = poison
        numbers = range(1, 31)
        asks = [stage.ask(f"{'poison' if n == 17 else 'add'} {n}", n) for n in numbers]
        answers = await _many(*asks)
        assert answers == [ActorCrashed if n == 17 else 1 for n in numbers]
        assert await stage.ask("get", 17) == 0


async def test_transient_refusal_is_repeated() -> None:
    faults = iter([NotWritten("deadlock", transient=True)])

    def stumble(items: Sequence[Mapping[str, Any]]) -> None:
        for fault in faults:
            raise fault

    async with staged() as stage:
        stage.table.fault = stumble
        assert await stage.ask("add") == 1


@pytest.mark.parametrize("written", [True, False])
async def test_lost_answer_is_settled_truthfully(written: bool) -> None:
    command = make_command("driver:1", "add", "1", "key")
    losses = iter([Unanswered("lost on the way there")])

    def lose(items: Sequence[Mapping[str, Any]]) -> None:
        for loss in losses:
            raise loss

    async with staged() as stage:
        if written:
            stage.table.lose_answer = True
        else:
            stage.table.fault = lose
        before = stage.table.epochs[shard_of(ActorId("counter", 1))]
        assert await stage.ask("add", command=command) == 1
        assert stage.table.rows[1]["value"] == 1
        assert stage.runtime.counters.settled["written" if written else "not_written"] == 1
        assert stage.table.epochs[shard_of(ActorId("counter", 1))] == before + 1, "claimed again"
        assert await stage.ask("add", command=command) == 1


async def test_command_whose_time_ended_before_it_was_sent_is_never_written() -> None:
    def away(items: Sequence[Mapping[str, Any]]) -> None:
        raise Unanswered("no connection", sent=False)

    async with staged() as stage:
        stage.table.fault = away
        with pytest.raises(DeadlinePassed):
            await stage.ask("add", budget_s=0.02)
        stage.table.fault = lambda _: None
        assert await stage.ask("get") == 0
        assert await stage.ask("add") == 1
        assert stage.table.rows[1]["value"] == 1


async def test_stale_epoch_ends_ownership_and_nobody_is_told_a_success() -> None:
    async with staged() as stage:
        await stage.ask("add")
        shard = shard_of(ActorId("counter", 1))
        stage.table.epochs[shard] += 5
        assert (await _many(stage.ask("add"), stage.ask("get"))).count(1) == 0
        assert stage.lost.is_set()
        assert stage.table.rows[1]["value"] == 1


async def test_query_comes_back_as_a_message() -> None:
    async with staged() as stage:
        await stage.ask("read")
        await stage.table.reading.wait()
        while await stage.ask("heard") == ():
            await turn()
        assert await stage.ask("heard") == ("answer",)


async def test_latest_value_replaces_what_was_not_read() -> None:
    async with staged() as stage:
        await stage.ask("get")
        to = ActorId("counter", 1)
        for _ in range(50):
            stage.runtime.tell(to, "get", latest="place")
        await stage.ask("get")
        assert stage.counter.turns.count("get") <= 3


async def test_idle_actor_leaves_memory_and_comes_back_as_it_was() -> None:
    async with staged() as stage:
        await stage.ask("add")
        ownership = stage.runtime.cells.owned[shard_of(ActorId("counter", 1))]
        assert ownership is not None
        ownership.cells[ActorId("counter", 1)].used_at -= 60
        stage.runtime._passivation.sweep(ownership)
        assert ownership.cells == {}
        assert await stage.ask("get") == 1


async def test_due_timer_fires_once_while_it_stays_in_place() -> None:
    async with staged() as stage:
        await stage.ask("get")
        stage.runtime.timers.arm(ActorId("counter", 1), stage.runtime.now_ms() - 5)
        due = stage.runtime.now_ms() - 5
        while await stage.ask("heard") == ():
            await turn()
        heard = await stage.ask("heard")
        stage.runtime.timers.arm(ActorId("counter", 1), int(heard[0].split()[1]))
        await stage.ask("get")
        assert len(await stage.ask("heard")) == 1
        assert abs(int(heard[0].split()[1]) - due) < 1000


async def test_settled_commit_is_followed_by_everything_that_follows_a_commit() -> None:
    async with staged() as stage:
        stage.table.lose_answer = True
        assert await stage.ask("add and tell") == 1
        assert [e.frame for e in stage.frames.sent] == [1]
        await until(lambda: stage.counter.turns.count("get") == 1)


async def test_read_that_fails_for_good_is_answered_too() -> None:
    async with staged() as stage:

        async def refuse(query: Query) -> Any:
            raise ValueError("no such read")

        stage.table.read = refuse  # type: ignore[method-assign]
        await stage.ask("read")
        while await stage.ask("heard") == ():
            await turn()
        assert await stage.ask("heard") == ("failed",)


async def test_timer_whose_message_came_to_nothing_fires_again() -> None:
    async with staged() as stage:
        timers, due = stage.runtime.timers, stage.runtime.now_ms() - 5
        nobody = ActorId("counter", 999_999)
        timers.arm(nobody, due)
        await until(lambda: stage.runtime.counters.timers_fired == 1)
        await until(lambda: nobody not in timers._fired)
        timers.arm(nobody, due)
        await until(lambda: stage.runtime.counters.timers_fired == 2)


async def test_instance_that_settles_takes_nothing_back_from_a_new_owner() -> None:
    async with staged() as stage:
        await stage.ask("add")
        shard = shard_of(ActorId("counter", 1))

        def lose_to_another(items: Sequence[Mapping[str, Any]]) -> None:
            stage.table.epochs[shard] += 7
            raise Unanswered("lost")

        stage.table.fault = lose_to_another
        taken = stage.table.epochs[shard] + 7
        with pytest.raises(OutcomeUnknown):
            await stage.ask("add")
        assert stage.lost.is_set()
        assert stage.table.epochs[shard] == taken


@pytest.mark.parametrize("between", [False, True], ids=["stayed ours", "was another's meanwhile"])
async def test_far_ask_that_waited_for_a_hand_over_is_served_only_when_nobody_else_had_the_shard(
    between: bool,
) -> None:
    async with staged() as stage:
        shard = shard_of(ActorId("counter", 1))
        ownership = stage.runtime.cells.owned[shard]
        assert ownership is not None
        far: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        until = stage.runtime.clock.monotonic() + 5
        stage.runtime.park(shard)
        stage.runtime.deliver(
            Envelope(ActorId("counter", 1), "add", until, reply=far, hop=1, epoch=ownership.epoch)
        )
        stage.table.epochs[shard] += between
        await stage.runtime.take([shard])
        assert await _many(_answer(far)) == [WrongOwner if between else 1]
        assert stage.table.rows[1]["value"] == (0 if between else 1)


async def test_far_ask_that_was_sent_to_the_journal_is_never_sent_back_as_if_nothing_had_happened() -> None:
    async with staged() as stage:
        shard = shard_of(ActorId("counter", 1))
        ownership = stage.runtime.cells.owned[shard]
        assert ownership is not None
        stage.table.hold = asyncio.Event()
        far: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        until = stage.runtime.clock.monotonic() + 5
        stage.runtime.deliver(
            Envelope(ActorId("counter", 1), "add", until, reply=far, hop=1, epoch=ownership.epoch)
        )
        while not stage.table.batches:
            await turn()
        stage.table.epochs[shard] += 1  # somebody else's claim, before ours
        await stage.runtime.take([shard])
        assert await _many(_answer(far)) == [OutcomeUnknown]
        stage.table.hold.set()


async def _answer(future: asyncio.Future[Any]) -> Any:
    async with asyncio.timeout(5):
        return await future


@pytest.mark.parametrize("between", [False, True], ids=["stayed ours", "was another's meanwhile"])
async def test_far_ask_is_sent_back_when_a_claim_to_settle_shows_that_the_shard_was_anothers(
    between: bool,
) -> None:
    """Such a claim takes the shard back only over claims of our own that went unanswered."""
    async with staged() as stage:
        shard = shard_of(ActorId("counter", 1))
        ownership = stage.runtime.cells.owned[shard]
        assert ownership is not None
        claim = stage.table.claim

        async def claim_twice(
            shards: Sequence[int], owner: str, incarnation: str, expected: Sequence[int] | None = None
        ) -> list[Claim]:
            if between:
                await claim(shards, owner, incarnation)
            return await claim(shards, owner, incarnation)

        stage.table.claim = claim_twice  # type: ignore[method-assign]
        stage.table.lose_answer = True
        await stage.ask("add")
        far: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        until = stage.runtime.clock.monotonic() + 5
        stage.runtime.deliver(
            Envelope(ActorId("counter", 1), "get", until, reply=far, hop=1, epoch=ownership.epoch)
        )
        assert await _many(_answer(far)) == [WrongOwner if between else 1]


async def test_timer_that_was_written_by_a_clock_an_hour_ahead_fires_when_the_clock_is_right_again() -> None:
    async with staged() as stage:
        table, due_ms = stage.table, 1_790_003_600_000 + 20_000
        table.wall_s += 3_600
        await until(lambda: stage.runtime.counters.clock_steps == 1)
        table.timers = [(ActorId("counter", 1), due_ms)]
        table.wall_s -= 3_600
        await until(lambda: stage.runtime.counters.clock_steps == 2)
        await until(lambda: stage.runtime.counters.timers_fired == 1)
        assert await stage.ask("heard") == (f"due {due_ms}",)
    assert [event for event, _ in stage.said] == ["stepped_clock", "stepped_clock"]


class _WritesSoon:
    """A receiver that has its reply written at the end of this turn of the loop, as a session does."""

    def __init__(self, turns: list[object]) -> None:
        self._turns = turns
        self.written: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()

    def done(self) -> bool:
        return False

    def set_result(self, result: Any) -> None:
        del result
        asyncio.get_running_loop().call_soon(lambda: self.written.set_result(list(self._turns)))

    def set_exception(self, exception: BaseException) -> None:
        self.written.set_exception(exception)


async def test_actors_that_a_commit_tells_have_their_turn_before_its_reply_is_written() -> None:
    async with staged() as stage:
        await stage.ask("get", 1)
        await stage.ask("get", 2)
        stage.counter.turns.clear()
        receiver = _WritesSoon(stage.counter.turns)
        envelope = stage.runtime.ask_for(receiver, ActorId("counter", 1), "add and tell")
        assert await receiver.written == ["add and tell", "get"]
        stage.runtime.forget(envelope)


async def test_reply_of_a_commit_is_given_even_if_an_effect_fails() -> None:
    async with staged() as stage:
        stage.frames.emit = _broken  # type: ignore[method-assign]
        assert await stage.ask("add 1") == 1


def _broken(emit: Emit, trace: str) -> None:
    raise RuntimeError("no way to the socket")
