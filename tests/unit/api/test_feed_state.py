"""The rules of a feed session: what is sent, what is heard, when it is pinged, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.feed import frames
from api.feed.frames import BadFrame, decode_frame
from api.feed.state import (
    COMMANDS_MAX,
    EXPIRY_NOTICE_S,
    PING_S,
    SILENT_S,
    STRIKES_MAX,
    Admission,
    Disposition,
    FeedState,
    command_cost,
)
from api.subscriptions import close_codes

NOW = 1_000.0
# In seconds of another clock, so that nobody takes one for the other.
STEADY = 50.0
TOKEN_S = 600.0
LEEWAY_S = 10.0
LOCATION = decode_frame(b'{"t": "loc", "lat": 1.0, "lon": 2.0}')
PICK_UP = decode_frame(b'{"t": "order.pickup", "id": 1, "key": "a-key", "order_id": "ord_1"}')
ACCEPT = decode_frame(
    b'{"t": "offer.accept", "id": 1, "key": "a-key", "orders": ["ord_1", "ord_2", "ord_3"]}'
)
SEND, DROP, GAP, LOST = Disposition.SEND, Disposition.DROP, Disposition.GAP, Disposition.LOST


def event(seq: int) -> dict[str, Any]:
    return {"t": "event", "seq": seq}


def welcome(seq: int, *, resumed: bool) -> dict[str, Any]:
    return {"t": "welcome", "epoch": "e1", "seq": seq, "resumed": resumed}


def welcomed(seq: int = 7) -> FeedState:
    """A session that has been sent everything up to this entry."""
    state = FeedState(NOW, STEADY + TOKEN_S)
    state.advance(welcome(seq, resumed=False))
    return state


# -- positions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("resumed", [True, False])
def test_the_first_welcome_says_where_the_session_begins(resumed: bool) -> None:
    state = FeedState(NOW, STEADY + TOKEN_S, "e0", 3)
    assert state.advance(welcome(7, resumed=resumed)) is SEND
    assert (state.welcomed, state.epoch, state.position) == (True, "e1", 7)


def test_no_entry_is_sent_before_the_welcome() -> None:
    state = FeedState(NOW, STEADY + TOKEN_S, "e1", 7)
    assert state.advance(event(8)) is DROP
    assert state.position == 7


def test_the_next_entry_is_sent_and_moves_the_position() -> None:
    state = welcomed(7)
    assert (state.advance(event(8)), state.position) == (SEND, 8)
    assert (state.advance(event(9)), state.position) == (SEND, 9)


@pytest.mark.parametrize("seq", [7, 3])
def test_an_entry_that_was_sent_already_is_dropped(seq: int) -> None:
    state = welcomed(7)
    assert (state.advance(event(seq)), state.position) == (DROP, 7)


def test_an_entry_behind_a_gap_is_not_sent_and_the_position_stays() -> None:
    state = welcomed(7)
    assert (state.advance(event(9)), state.position) == (GAP, 7)
    assert (state.advance(event(8)), state.position) == (SEND, 8)


@pytest.mark.parametrize("seq", [7, 5])
def test_the_welcome_of_a_session_that_was_bound_again_is_not_repeated_to_the_client(seq: int) -> None:
    state = welcomed(7)
    assert (state.advance(welcome(seq, resumed=True)), state.position) == (DROP, 7)


@pytest.mark.parametrize("again", [welcome(7, resumed=False), welcome(8, resumed=True)])
def test_a_position_that_the_log_does_not_have_any_more_is_lost(again: dict[str, Any]) -> None:
    state = welcomed(7)
    assert (state.advance(again), state.position) == (LOST, 7)


@pytest.mark.parametrize("kind", ["offer.revoked", "state", "reply", "pong"])
def test_a_frame_that_is_no_entry_is_sent_and_leaves_the_position(kind: str) -> None:
    state = welcomed(7)
    assert (state.advance({"t": kind}), state.position) == (SEND, 7)
    assert FeedState(NOW, STEADY).advance({"t": kind}) is SEND


@settings(max_examples=200, deadline=None, database=None)
@given(begin=st.integers(0, 20), arriving=st.lists(st.integers(0, 30)))
def test_whatever_arrives_the_entries_that_are_sent_are_contiguous(begin: int, arriving: list[int]) -> None:
    """Entries come twice, late, out of order or not at all."""
    state = welcomed(begin)
    sent = [seq for seq in arriving if state.advance(event(seq)) is SEND]
    assert sent == list(range(begin + 1, begin + 1 + len(sent)))
    assert state.position == begin + len(sent)


@settings(max_examples=200, deadline=None, database=None)
@given(begin=st.integers(0, 5), last=st.integers(6, 15), lost=st.data())
def test_every_entry_is_sent_once_when_each_gap_is_filled_from_the_log(
    begin: int, last: int, lost: st.DataObject
) -> None:
    """As the driver's actor fills it: a welcome at the position that the session has, then all that follows."""
    state, sent = welcomed(begin), []
    arriving = [*lost.draw(st.lists(st.integers(0, last))), last]
    while arriving:
        seq = arriving.pop(0)
        found = state.advance(event(seq))
        if found is SEND:
            sent.append(seq)
        elif found is GAP:
            assert state.position is not None
            assert state.advance(welcome(state.position, resumed=True)) is DROP
            arriving = list(range(state.position + 1, last + 1)) + arriving
    assert sent == list(range(begin + 1, last + 1))


def test_the_first_code_of_a_close_stands() -> None:
    state = welcomed()
    assert state.close(close_codes.DRAINING)
    assert not state.close(close_codes.NO_PONG)
    assert state.closing == close_codes.DRAINING


# -- what is heard ----------------------------------------------------------------------------------


def test_a_text_becomes_its_frame_and_a_sign_of_life() -> None:
    state = welcomed()
    assert state.receive('{"t": "ack", "seq": 9}', NOW + 5) == frames.AckFrame(t="ack", seq=9)
    assert state.heard_at == NOW + 5


def test_a_message_without_a_text_is_a_sign_of_life() -> None:
    state = welcomed()
    assert state.receive(None, NOW + 5) is None
    assert state.heard_at == NOW + 5


@pytest.mark.parametrize("text", ["{", '{"t": "dance"}', '{"t": "ack", "seq": "\ud800"}'])
def test_a_text_that_cannot_be_understood_is_a_sign_of_life_too(text: str) -> None:
    state = welcomed()
    assert isinstance(state.receive(text, NOW + 5), BadFrame)
    assert state.heard_at == NOW + 5


def test_nothing_is_heard_once_the_socket_is_closing() -> None:
    state = welcomed()
    state.close(close_codes.DRAINING)
    assert state.receive('{"t": "pong"}', NOW + 5) is None
    assert state.heard_at == NOW


def test_the_strike_after_fifty_ends_the_session() -> None:
    state = welcomed()
    assert [state.strike() for _ in range(STRIKES_MAX)] == [0] * STRIKES_MAX
    assert state.strike() == close_codes.BAD_FRAME


def test_an_older_acknowledgement_takes_nothing_back() -> None:
    state = welcomed()
    state.ack(9)
    state.ack(4)
    assert state.acked == 9


def test_a_driver_who_counts_as_unreachable_comes_back_with_any_frame_but_pong() -> None:
    state = welcomed()
    assert not state.comes_back(LOCATION)
    state.unreachable = True
    assert not state.comes_back(frames.PongFrame(t="pong"))
    assert state.comes_back(LOCATION)
    assert not state.comes_back(LOCATION), "it is told once"


# -- commands ----------------------------------------------------------------------------------------


def test_a_frame_counts_as_a_command_for_each_order_that_it_names() -> None:
    assert isinstance(PICK_UP, frames.PickUpFrame)
    assert isinstance(ACCEPT, frames.AcceptFrame)
    assert (command_cost(PICK_UP), command_cost(ACCEPT)) == (1, 3)


def test_reading_stops_at_the_most_commands_and_goes_on_with_the_first_answer() -> None:
    state = welcomed()
    assert [state.begin_command() for _ in range(COMMANDS_MAX)] == [False] * (COMMANDS_MAX - 1) + [True]
    assert [state.end_command() for _ in range(COMMANDS_MAX)] == [True] + [False] * (COMMANDS_MAX - 1)


def admission(
    after_s: float, frame: frames.Frame = PICK_UP, *, is_revoked: bool = False, is_blind: bool = False
) -> Admission:
    """What becomes of a frame so long after the session began."""
    return welcomed().admit(frame, STEADY + after_s, LEEWAY_S, is_revoked=is_revoked, is_blind=is_blind)


def test_a_command_is_admitted_until_the_leeway_after_the_token_has_passed() -> None:
    assert admission(TOKEN_S + LEEWAY_S - 1) is Admission.ADMITTED
    assert admission(TOKEN_S + LEEWAY_S) is Admission.EXPIRED
    assert Admission.EXPIRED.value == close_codes.TOKEN_EXPIRED


def test_a_session_that_was_ended_is_not_to_come_back_whether_its_token_has_expired_or_not() -> None:
    assert admission(0, is_revoked=True) is Admission.REVOKED
    assert admission(2 * TOKEN_S, is_revoked=True) is Admission.REVOKED
    assert Admission.REVOKED.value == close_codes.UNAUTHENTICATED


def test_while_revocations_cannot_be_seen_commands_are_refused_and_positions_ignored() -> None:
    assert admission(0, PICK_UP, is_blind=True) is Admission.REFUSED
    assert admission(0, LOCATION, is_blind=True) is Admission.IGNORED
    assert admission(2 * TOKEN_S, is_blind=True) is Admission.EXPIRED


# -- the clock ----------------------------------------------------------------------------------------


def test_a_client_that_speaks_is_left_alone_for_as_long_as_it_may_be_silent() -> None:
    found = welcomed().heartbeat(NOW + 10, STEADY, NOW, is_revoked=False)
    assert found == (0, False, None, PING_S - 10)


def test_a_silent_client_is_pinged_and_then_closed() -> None:
    state = welcomed()
    found = state.heartbeat(NOW + PING_S, STEADY, NOW, is_revoked=False)
    assert found == (0, True, None, SILENT_S - PING_S)
    found = state.heartbeat(NOW + SILENT_S, STEADY, NOW, is_revoked=False)
    assert (found.close, found.ping) == (close_codes.NO_PONG, False)


def test_a_client_is_not_silent_while_the_process_could_not_hear_it() -> None:
    awake_at = NOW + 10 * SILENT_S
    found = welcomed().heartbeat(awake_at, STEADY, awake_at, is_revoked=False)
    assert found == (0, False, None, PING_S)


def look(state: FeedState, after_s: float, *, is_revoked: bool = False) -> tuple[int, int | None, float]:
    """A look at a client that has spoken this moment: the close code, the announcement, and when the next look is."""
    state.receive(None, NOW + after_s)
    found = state.heartbeat(NOW + after_s, STEADY + after_s, NOW, is_revoked=is_revoked)
    return found.close, found.expires_in_s, found.next_s


def test_the_end_of_the_token_is_announced_once_and_then_closes_the_socket() -> None:
    state = welcomed()
    assert look(state, TOKEN_S - EXPIRY_NOTICE_S - 5) == (0, None, 5)
    assert look(state, TOKEN_S - EXPIRY_NOTICE_S) == (0, int(EXPIRY_NOTICE_S), PING_S)
    assert look(state, TOKEN_S - 20) == (0, None, 20)
    assert look(state, TOKEN_S)[0] == close_codes.TOKEN_EXPIRED


def test_a_fresh_token_carries_the_socket_on_and_its_end_is_announced_too() -> None:
    state = welcomed()
    look(state, TOKEN_S - 30)
    state.renew(STEADY + 2 * TOKEN_S)
    assert look(state, TOKEN_S)[:2] == (0, None)
    assert look(state, 2 * TOKEN_S - 30)[:2] == (0, 30)


def test_a_token_that_was_revoked_closes_the_socket_at_the_next_look_and_for_good() -> None:
    assert look(welcomed(), 1, is_revoked=True)[0] == close_codes.UNAUTHENTICATED


def test_silence_closes_no_socket_whose_token_has_ended_with_another_code() -> None:
    found = welcomed().heartbeat(NOW + TOKEN_S, STEADY + TOKEN_S, NOW, is_revoked=False)
    assert found.close == close_codes.TOKEN_EXPIRED
