"""The one way in for commands: REST and every frame of the feed come through here, and hear the same."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from actors.errors import ActorCrashed, NoSuchActor, OutcomeUnknown, Overloaded, Unavailable
from api.contract.problems import KINDS, Problem
from api.feed.frames import decode_frame
from api.feed.pending_command import PendingCommand, ask_actors
from api.http.command_executor import GOOD, CommandExecutor, problem_of, refusal_code
from dispatch.domain import commands as d
from dispatch.domain import refusals
from dispatch.messages import Reply
from dispatch.service import Caller

DRIVER = 3
CALLER = Caller("driver", DRIVER, "0" * 32, "a-key")
REFUSALS = [value for name, value in vars(refusals).items() if name.isupper()]


class Actors:
    """A dispatch office that writes down what is asked of it and answers it as it is told."""

    def __init__(self, *answers: Reply | BaseException) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, object]] = []
        self.forgotten: list[object] = []
        self.is_asked = False
        self.runtime = SimpleNamespace(forget=self.forgotten.append)

    def _next(self) -> Reply:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def command(self, caller: Caller, number: int, wish: object) -> Reply:
        assert not self.is_asked, "one at a time"
        self.is_asked = True
        self.asked.append((number, wish))
        await asyncio.sleep(0)
        self.is_asked = False
        return self._next()

    def command_for(self, reply: Any, caller: Caller, number: int, wish: object) -> object:
        self.asked.append((number, wish))
        try:
            reply.set_result(self._next())
        except Exception as error:  # noqa: BLE001 - as the runtime answers
            reply.set_exception(error)
        return "question"

    async def take_offline(self, caller: Caller, number: int) -> Reply:
        return await self.command(caller, number, "offline")

    async def set_availability(self, caller: Caller, status: str, shift_ends_ms: int | None = None) -> Reply:
        return await self.command(caller, caller.number, status)

    def set_availability_for(
        self, reply: Any, caller: Caller, status: str, shift_ends_ms: int | None = None
    ) -> object:
        return self.command_for(reply, caller, caller.number, status)


class Line:
    """A session that writes down what it says."""

    driver_id = "drv_3"

    def __init__(self, commands: CommandExecutor) -> None:
        self.said: list[dict[str, Any]] = []
        self.is_answered = asyncio.Event()
        self.services = SimpleNamespace(log=structlog.get_logger(), commands=commands, sampling=None)

    def push(self, frame: dict[str, Any]) -> None:
        self.said.append(frame)

    def answered(self) -> None:
        self.is_answered.set()


async def told_over_the_feed(frame: str, actors: Actors) -> dict[str, Any]:
    """The answer to a command of a socket."""
    commands = CommandExecutor(actors, SimpleNamespace())  # type: ignore[arg-type]
    line = Line(commands)
    command: Any = decode_frame(frame.encode())
    ask_actors(commands, PendingCommand(line, command, "0" * 32), CALLER, command)  # type: ignore[arg-type]
    await line.is_answered.wait()
    [said] = line.said
    return said


def accept(*orders: str) -> str:
    listed = ", ".join(f'"{order}"' for order in orders)
    return f'{{"t": "offer.accept", "id": 1, "key": "a-key", "orders": [{listed}]}}'


PICK_UP = '{"t": "order.pickup", "id": 1, "key": "a-key", "order_id": "ord_7"}'
ONLINE = '{"t": "availability", "id": 1, "key": "a-key", "status": "online"}'


def test_what_was_done_has_no_row_among_the_problems() -> None:
    assert GOOD & KINDS.keys() == set()
    assert {refusal_code(Reply(code, "assigned", 2)) for code in GOOD} == {""}


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_of_the_domain_has_a_row_among_the_problems(code: str) -> None:
    assert refusal_code(Reply(code, "assigned", 2)) in KINDS


def test_order_of_somebody_else_looks_like_one_that_there_is_not() -> None:
    assert refusal_code(Reply(refusals.NOT_YOURS, "assigned", 2)) == problem_of(NoSuchActor()).code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoSuchActor(), "order_not_found"),
        (Overloaded(), "overloaded"),
        (Unavailable("moving"), "unavailable"),
        (OutcomeUnknown(), "outcome_unknown"),
        (TimeoutError(), "outcome_unknown"),
        (asyncio.CancelledError(), "outcome_unknown"),
        (ActorCrashed(), "internal"),
        (RuntimeError(), "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_command_without_an_answer_is_told_what_that_means(error: BaseException, code: str) -> None:
    assert problem_of(error).code == code


async def test_who_waits_for_an_order_that_there_is_not_gets_its_problem() -> None:
    commands = CommandExecutor(Actors(NoSuchActor()), SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(Problem, match="order_not_found"):
        await commands.execute(CALLER, 7, d.PickUp(DRIVER))


async def test_operator_who_takes_nobody_offline_gets_the_problem_of_a_driver() -> None:
    commands = CommandExecutor(Actors(NoSuchActor()), SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(Problem, match="driver_not_found"):
        await commands.execute_offline(CALLER, 7)


async def test_driver_over_rest_is_answered_by_the_actor_that_answers_it_over_the_feed() -> None:
    actors = Actors(Reply("now_online", "online", 5))
    commands = CommandExecutor(actors, SimpleNamespace())  # type: ignore[arg-type]
    assert (await commands.execute_availability(CALLER, "online")).code == "now_online"
    assert actors.asked == [(DRIVER, "online")]


def test_frame_is_counted_as_so_many_commands_of_its_user() -> None:
    counted: list[tuple[int, int]] = []

    def count(number: int, times: int) -> float:
        counted.append((number, times))
        return 1.5

    admission: Any = SimpleNamespace(count_commands=count)
    assert CommandExecutor(Actors(), admission).admit(DRIVER, 4) == 1.5  # type: ignore[arg-type]
    assert counted == [(DRIVER, 4)]


async def test_frame_of_one_order_is_answered_by_its_order() -> None:
    actors = Actors(Reply("picked_up", "picked_up", 3))
    said = await told_over_the_feed(PICK_UP, actors)
    assert actors.asked == [(7, d.PickUp(DRIVER))]
    assert (said["t"], said["ok"], said["result"], said["version"]) == ("reply", True, "picked_up", 3)
    assert actors.forgotten == ["question"]


async def test_orders_of_a_frame_are_asked_one_after_the_other_and_each_has_its_own_answer() -> None:
    actors = Actors(Reply("won", "assigned", 2), NoSuchActor(), Unavailable("moving"))
    said = await told_over_the_feed(accept("ord_1", "ord_2", "ord_3"), actors)
    assert [number for number, _ in actors.asked] == [1, 2, 3]
    assert {wish for _, wish in actors.asked} == {d.Accept(DRIVER)}
    assert said["results"] == [
        {"order_id": "ord_1", "result": "won", "status": "assigned", "version": 2},
        {"order_id": "ord_2", "result": "order_not_found"},
        {
            "order_id": "ord_3", "result": "unavailable", "temporary": True, "not_processed": True,
            "retry_after_ms": 1000,
        },
    ]  # fmt: skip


async def test_driver_who_goes_online_is_answered_by_its_own_actor() -> None:
    actors = Actors(Reply("now_online", "online", 5))
    said = await told_over_the_feed(ONLINE, actors)
    assert actors.asked == [(DRIVER, "online")]
    assert (said["ok"], said["result"], said["status"]) == (True, "now_online", "online")
    assert actors.forgotten == ["question"]


async def test_driver_that_there_is_not_is_no_order_that_there_is_not() -> None:
    assert (await told_over_the_feed(ONLINE, Actors(NoSuchActor())))["code"] == "not_found"
    assert (await told_over_the_feed(PICK_UP, Actors(NoSuchActor())))["code"] == "order_not_found"
