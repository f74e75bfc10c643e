"""A socket and its token: it lives as long as the token, and not a command longer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from actors.clock import SystemRandomness
from api.auth.access_tokens import ACCESS_S, BLIND_S, LEEWAY_S, Tokens, load_signing_key, make_signing_key
from api.feed.frames import decode_frame
from api.feed.session import Session
from api.feed.state import COMMANDS_MAX, EXPIRY_NOTICE_S, PING_S, SILENT_S, STRIKES_MAX
from api.http.command_executor import CommandExecutor
from api.subscriptions import close_codes
from tests.support.clocks import Hands

NOW = 1_700_000_000.0
COMMAND = b'{"t": "offer.accept", "id": 1, "key": "a-key-of-sixteen-or-more", "orders": ["ord_1"]}'
LOCATION = b'{"t": "loc", "cseq": 1, "lat": 1.0, "lon": 2.0}'


class Told(Session):
    """A session that writes down why it closes, what it says, and what it passes on."""

    __slots__ = ("passed_on", "said")
    passed_on: list[Any]
    said: list[Any]

    def close(self, code: int) -> None:
        self.state.close(code)

    def push(self, frame: dict[str, Any]) -> None:
        self.said.append(frame)

    def push_latest(self, topic: str, frame: dict[str, Any] | bytes) -> None:
        self.said.append(frame)


class AdmissionControl:
    """What a session asks of its socket."""

    def __init__(self) -> None:
        self.is_held = False
        self.charged = 0

    def hold(self) -> None:
        self.is_held = True

    def release(self) -> None:
        self.is_held = False

    def charge(self, frames: int) -> None:
        self.charged += frames


@pytest.fixture
def clock() -> Hands:
    return Hands(NOW)


@pytest.fixture
def tokens(clock: Hands) -> Tokens:
    tokens = Tokens([load_signing_key(*make_signing_key())], clock, SystemRandomness())
    tokens.shut_out((), (), float("inf"))
    return tokens


@pytest.fixture
def session(clock: Hands, tokens: Tokens) -> Told:
    """The socket of driver 3, just opened."""
    passed_on: list[Any] = []
    dispatch: Any = SimpleNamespace(locate=lambda *args, **_: passed_on.append(args))
    admission: Any = SimpleNamespace(count_commands=lambda number, times: 0.0)
    services: Any = SimpleNamespace(
        clock=clock, tokens=tokens, entropy=SystemRandomness(),
        hub=SimpleNamespace(
            home="here", awake_at=clock.monotonic(), is_far=lambda shard: False, tasks=SimpleNamespace()
        ),
        dispatch=dispatch, admission=admission, commands=CommandExecutor(dispatch, admission),
        sampling=None,
    )  # fmt: skip
    principal = tokens.verify(tokens.issue("driver", 3, "ses_3"))
    told = Told(AdmissionControl(), services, principal, "0" * 32)  # type: ignore[arg-type]
    told.said, told.passed_on = [], passed_on
    return told


def beat(session: Told, clock: Hands) -> int:
    """One heartbeat of a client that speaks; the code that it closes with, or 0."""
    session.state.heard_at = clock.monotonic()
    session.heartbeat(clock.monotonic())
    return session.state.closing


def test_end_is_announced_and_then_closes_with_a_code_that_says_come_back(
    session: Told, clock: Hands
) -> None:
    assert beat(session, clock) == 0
    clock.now += ACCESS_S - 30
    assert beat(session, clock) == 0
    assert session.said[-1] == {"t": "auth.expiring", "in_s": 30}
    clock.now += 30
    assert beat(session, clock) == close_codes.TOKEN_EXPIRED


def test_new_token_in_time_carries_the_socket_on(session: Told, clock: Hands, tokens: Tokens) -> None:
    clock.now += ACCESS_S - 30
    token = tokens.issue("driver", 3, "ses_4")
    session._dispatch(decode_frame(b'{"t": "auth.refresh", "id": 1, "token": "%s"}' % token.encode()))
    said = session.said[-1]
    assert (said["t"], said["id"], said["ok"]) == ("reply", 1, True)
    clock.now += PING_S * 2
    assert beat(session, clock) == 0


@pytest.mark.parametrize(("role", "number"), [("driver", 4), ("customer", 3), ("admin", 3)])
def test_token_of_somebody_else_does_not_carry_it_on(
    session: Told, clock: Hands, tokens: Tokens, role: str, number: int
) -> None:
    clock.now += ACCESS_S - 30
    token = tokens.issue(role, number, "ses_4")
    session._dispatch(decode_frame(b'{"t": "auth.refresh", "id": 1, "token": "%s"}' % token.encode()))
    assert session.said[-1]["code"] == "forbidden"
    clock.now += PING_S * 2
    assert beat(session, clock) == close_codes.TOKEN_EXPIRED


@pytest.mark.parametrize("frame", [COMMAND, LOCATION], ids=["command", "location"])
def test_nothing_is_passed_on_after_the_end(session: Told, clock: Hands, frame: bytes) -> None:
    clock.now += ACCESS_S + LEEWAY_S
    session._dispatch(decode_frame(frame))
    assert (session.state.closing, session.passed_on) == (close_codes.TOKEN_EXPIRED, [])


@pytest.mark.parametrize("frame", [COMMAND, LOCATION], ids=["command", "location"])
def test_nothing_is_passed_on_when_the_session_was_ended(session: Told, tokens: Tokens, frame: bytes) -> None:
    tokens.cut_off(session="ses_3")
    session._dispatch(decode_frame(frame))
    assert (session.state.closing, session.passed_on) == (close_codes.UNAUTHENTICATED, [])


def test_session_that_was_ended_is_not_told_to_come_back(session: Told, clock: Hands, tokens: Tokens) -> None:
    tokens.shut_out(["ses_3"], [])
    clock.now += ACCESS_S + LEEWAY_S
    assert beat(session, clock) == close_codes.UNAUTHENTICATED


def test_location_of_a_good_token_is_passed_on(session: Told) -> None:
    session._dispatch(decode_frame(LOCATION))
    assert len(session.passed_on) == 1


def test_fault_while_a_command_is_asked_is_answered(session: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError(len(args))

    monkeypatch.setattr(session.services.dispatch, "command_for", fail, raising=False)
    monkeypatch.setattr(session.services, "log", structlog.get_logger(), raising=False)
    session.heard(COMMAND.decode())
    assert (session.said[-1]["code"], session.state.commands, session.state.closing) == ("internal", 0, 0)


def test_fault_while_a_frame_is_taken_ends_the_socket(session: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError(len(args))

    monkeypatch.setattr(session.services.dispatch, "locate", fail)
    session.heard(LOCATION.decode())
    assert session.state.closing == close_codes.INTERNAL


def blinded(tokens: Tokens) -> None:
    """The last look at the revocations is older than the bound."""
    tokens.shut_out((), (), tokens.now() - BLIND_S - 1)


def test_command_is_refused_for_now_while_nobody_knows_whether_the_session_was_ended(
    session: Told, tokens: Tokens
) -> None:
    blinded(tokens)
    session._dispatch(decode_frame(COMMAND))
    said = session.said[-1]
    assert (said["t"], said["id"], said["code"]) == ("error", 1, "unavailable")
    assert (said["temporary"], said["not_processed"]) == (True, True)
    assert (session.state.closing, session.passed_on, session.state.strikes) == (0, [], 0)


def test_position_is_not_believed_while_nobody_knows_whether_the_session_was_ended(
    session: Told, tokens: Tokens
) -> None:
    blinded(tokens)
    session._dispatch(decode_frame(LOCATION))
    assert (session.state.closing, session.passed_on, session.said) == (0, [], [])


def test_new_token_is_not_taken_while_nobody_knows_whether_its_session_was_ended(
    session: Told, tokens: Tokens
) -> None:
    token = tokens.issue("driver", 3, "ses_4")
    blinded(tokens)
    session._dispatch(decode_frame(b'{"t": "auth.refresh", "id": 1, "token": "%s"}' % token.encode()))
    said = session.said[-1]
    assert (said["code"], said["temporary"], said["not_processed"]) == ("unavailable", True, True)
    assert session.principal.session == "ses_3"


def command(number: int, orders: str = '"ord_1"') -> str:
    """An acceptance."""
    return f'{{"t": "offer.accept", "id": {number}, "key": "key-{number}", "orders": [{orders}]}}'


@pytest.fixture
def asked(session: Told, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The commands that wait for their answers."""
    waiting: list[Any] = []

    def ask(reply: Any, *args: Any) -> Any:
        waiting.append(reply)
        return args

    services = session.services
    monkeypatch.setattr(services, "log", structlog.get_logger(), raising=False)
    monkeypatch.setattr(services.dispatch, "command_for", ask, raising=False)
    runtime = SimpleNamespace(forget=lambda question: None)
    monkeypatch.setattr(services.dispatch, "runtime", runtime, raising=False)
    return waiting


def test_more_commands_than_are_worked_on_at_once_wait_and_none_is_refused(
    session: Told, asked: list[Any]
) -> None:
    for number in range(COMMANDS_MAX):
        assert not session.ws.is_held  # type: ignore[attr-defined]
        session.heard(command(number))
    assert session.ws.is_held  # type: ignore[attr-defined]
    assert (len(asked), session.said) == (COMMANDS_MAX, [])
    asked[0].set_result(["won", "assigned", 2])
    assert not session.ws.is_held  # type: ignore[attr-defined]


def test_command_over_its_limit_is_told_when_to_come_again_and_is_no_strike(
    session: Told, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.services.admission, "count_commands", lambda number, times: 2.5)
    for number in range(3 * STRIKES_MAX):
        session.heard(command(number))
    assert (asked, session.state.closing) == ([], 0)
    assert {key: session.said[0][key] for key in session.said[0] if key != "trace_id"} == {
        "t": "error", "id": 0, "code": "rate_limited", "temporary": True, "not_processed": True,
        "retry_after_ms": 2500,
    }  # fmt: skip


def test_acceptance_of_several_orders_counts_as_so_many_commands(
    session: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[int, int]] = []

    def count(number: int, times: int) -> float:
        counted.append((number, times))
        return 1.0

    monkeypatch.setattr(session.services.admission, "count_commands", count)
    session.heard(command(1, '"ord_1", "ord_2", "ord_3"'))
    assert (counted, session.ws.charged) == ([(3, 3)], 2)  # type: ignore[attr-defined]


def test_client_that_sends_far_too_much_is_told_to_back_off(session: Told) -> None:
    session.flooded()
    assert session.state.closing == close_codes.RATE_LIMITED


def test_silent_line_is_pinged_at_25_seconds_and_closed_at_37_and_a_half(session: Told, clock: Hands) -> None:
    assert session.heartbeat(clock.monotonic()) == PING_S
    clock.now += PING_S
    assert session.heartbeat(clock.monotonic()) == SILENT_S - PING_S
    assert (session.said, session.state.closing) == ([{"t": "ping"}], 0)
    clock.now += SILENT_S - PING_S
    session.heartbeat(clock.monotonic())
    assert session.state.closing == close_codes.NO_PONG


def test_ping_or_pong_of_the_protocol_below_is_a_sign_of_life(session: Told, clock: Hands) -> None:
    clock.now += SILENT_S
    session.heard(None)
    assert session.heartbeat(clock.monotonic()) == PING_S
    assert session.state.closing == 0


def test_nobody_is_silent_while_the_process_stood_still(session: Told, clock: Hands) -> None:
    clock.now += 10 * SILENT_S
    session.hub.awake_at = clock.monotonic()
    assert session.heartbeat(clock.monotonic()) == PING_S
    assert session.state.closing == 0


def test_look_at_the_token_is_due_when_its_end_is_to_be_announced(session: Told, clock: Hands) -> None:
    clock.now += ACCESS_S - EXPIRY_NOTICE_S - 5
    session.heard(None)
    assert session.heartbeat(clock.monotonic()) == 5
