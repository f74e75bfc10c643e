"""The policy of webhooks: what follows from a receiver's answer."""

from __future__ import annotations

import pytest

from dispatch.webhooks.policy import (
    GIVE_UP_S,
    REFUSALS_MAX,
    REFUSALS_S,
    REFUSED,
    SCHEDULE_S,
    Next,
    Verdict,
    judge,
    judge_replay,
    pause_s,
)
from dispatch.webhooks.values import Answer, Trouble

DOWN = Answer(503)


def _after(answers: list[Answer], *, every_s: float = 1.0, on_refused: str = "skip") -> Verdict:
    """The verdict after these answers about one event, one every so many seconds."""
    verdict = Verdict(Next.WAIT, Trouble())
    for at, answer in enumerate(answers):
        verdict = judge(verdict.trouble, answer, on_refused, at * every_s, 0.0)
    return verdict


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_goes_on_and_ends_the_trouble(status: int) -> None:
    assert judge(Trouble(3, 1.0, 2, 1.0), Answer(status), "skip", 9.0, 0.0) == Verdict(Next.GO_ON, Trouble())


def test_pauses_follow_the_schedule_and_its_last_one_repeats() -> None:
    pauses = [pause_s(failures, None, 0.0) for failures in range(1, len(SCHEDULE_S) + 3)]
    assert pauses == [*SCHEDULE_S, SCHEDULE_S[-1], SCHEDULE_S[-1]]
    assert pauses[:5] == [5, 30, 120, 600, 1800]
    assert pauses[-1] == 20 * 3600


def test_up_to_half_is_added_to_a_pause() -> None:
    assert pause_s(1, None, 0.999) == pytest.approx(7.5, abs=0.01)


@pytest.mark.parametrize(("asked_s", "pause"), [(1.0, 5.0), (90.0, 90.0), (10**9, 24 * 3600.0)])
def test_retry_after_lengthens_a_pause_up_to_a_day(asked_s: float, pause: float) -> None:
    assert judge(Trouble(), Answer(429, retry_after_s=asked_s), "skip", 0.0, 0.0).wait_s == pause


@pytest.mark.parametrize("answer", [
    Answer(None, "timeout"), Answer(500), Answer(404), Answer(401), Answer(301), Answer(429), Answer(100),
])  # fmt: skip
def test_everything_else_blocks_the_stream_until_it_is_delivered(answer: Answer) -> None:
    verdict = _after([answer] * 50)
    assert (verdict.next, verdict.trouble.failures) == (Next.WAIT, 50)


def test_410_ends_the_endpoint_at_once() -> None:
    verdict = judge(Trouble(), Answer(410), "skip", 0.0, 0.0)
    assert (verdict.next, verdict.why) == (Next.END, "gone")


@pytest.mark.parametrize("status", sorted(REFUSED))
def test_event_that_is_refused_five_times_is_skipped(status: int) -> None:
    assert _after([Answer(status)] * (REFUSALS_MAX - 1)).next is Next.WAIT
    assert _after([Answer(status)] * REFUSALS_MAX).next is Next.SKIP


def test_other_failures_between_refusals_do_not_count_as_refusals() -> None:
    mixed = [Answer(422), DOWN] * 4
    assert _after(mixed).next is Next.WAIT
    assert _after([*mixed, Answer(422)]).next is Next.SKIP


def test_refusals_of_more_than_an_hour_do_not_add_up() -> None:
    verdict = _after([Answer(400)] * 50, every_s=REFUSALS_S + 1)
    assert (verdict.next, verdict.trouble.refusals) == (Next.WAIT, 1)


def test_stop_ends_the_endpoint_in_place_of_skipping() -> None:
    verdict = _after([Answer(400)] * REFUSALS_MAX, on_refused="stop")
    assert (verdict.next, verdict.why) == (Next.END, "refused")


def test_three_days_of_nothing_but_failure_end_the_endpoint() -> None:
    assert judge(Trouble(9, 0.0), DOWN, "skip", GIVE_UP_S - 1, 0.0).next is Next.WAIT
    verdict = judge(Trouble(9, 0.0), DOWN, "skip", GIVE_UP_S, 0.0)
    assert (verdict.next, verdict.why) == (Next.END, "failing")


def test_skipped_event_is_no_success_so_its_time_counts_on() -> None:
    skipped = _after([Answer(400)] * REFUSALS_MAX)
    assert skipped.trouble == Trouble(0, 0.0)
    assert judge(skipped.trouble, DOWN, "skip", GIVE_UP_S, 0.0).why == "failing"


def test_schedule_reaches_over_the_three_days() -> None:
    """The endpoint is given up by the rule of three days, not because tries run out."""
    assert sum(SCHEDULE_S) < GIVE_UP_S < sum(SCHEDULE_S) + 2 * SCHEDULE_S[-1]


def test_replay_passes_over_what_is_refused_and_waits_for_the_rest() -> None:
    assert judge_replay(Trouble(), Answer(422), 0.0, 0.0).next is Next.SKIP
    assert judge_replay(Trouble(), Answer(200), 0.0, 0.0).next is Next.GO_ON
    assert judge_replay(Trouble(), DOWN, 0.0, 0.0) == Verdict(Next.WAIT, Trouble(1, 0.0), 5.0)
    assert judge_replay(Trouble(9, 0.0), DOWN, GIVE_UP_S, 0.0).why == "failing"
    assert judge_replay(Trouble(), Answer(410), 0.0, 0.0).why == "gone"
