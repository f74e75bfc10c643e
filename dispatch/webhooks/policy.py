"""Policy of webhooks: what follows from an answer. Pure: times and chance come in as arguments."""

from __future__ import annotations

from enum import Enum

from actors.values import frozen
from dispatch.webhooks.values import Answer, Trouble

MINUTE_S, HOUR_S = 60.0, 3600.0
# Pauses after the first failure, the second, and so on; the last one repeats. Up to half is added.
SCHEDULE_S = (
    5.0, 30.0, 2 * MINUTE_S, 10 * MINUTE_S, 30 * MINUTE_S, HOUR_S, 2 * HOUR_S, 5 * HOUR_S, 10 * HOUR_S, 14 * HOUR_S,
    20 * HOUR_S,
)  # fmt: skip
RETRY_AFTER_S_MAX = 24 * HOUR_S
GIVE_UP_S = 3 * 24 * HOUR_S
GONE = 410
# The receiver does not want this very event, and will not want it tomorrow.
REFUSED = frozenset({400, 413, 415, 422})
REFUSALS_MAX = 5
REFUSALS_S = HOUR_S


class Next(Enum):
    """What to do with the stream of an endpoint."""

    GO_ON = "go_on"  # delivered
    SKIP = "skip"  # a dead letter; the stream goes on behind it
    WAIT = "wait"
    END = "end"  # the endpoint is disabled, or the replay given up


@frozen
class Verdict:
    """What follows from an answer.

    Attributes:
        trouble: the state of the stream from now on.
        wait_s: pause before the next attempt, for WAIT.
        why: reason of the end, for END.
    """

    next: Next
    trouble: Trouble
    wait_s: float = 0.0
    why: str = ""


def pause_s(failures: int, retry_after_s: float | None, chance: float) -> float:
    """Pause after this many failures in a row; never shorter than the receiver asks for, up to a day."""
    planned_s = SCHEDULE_S[min(max(failures, 1), len(SCHEDULE_S)) - 1] * (1 + chance / 2)
    return max(planned_s, min(retry_after_s or 0.0, RETRY_AFTER_S_MAX))


def judge(trouble: Trouble, answer: Answer, on_refused: str, now: float, chance: float) -> Verdict:
    """What follows from the answer for the cursor.

    `on_refused` says what happens after REFUSALS_MAX refusals of one event: `skip` or `stop`. `chance` is a number in
    [0, 1), for the jitter.
    """
    if answer.good:
        return Verdict(Next.GO_ON, Trouble())
    after = _after_failure(trouble, answer, now)
    if answer.status == GONE:
        return Verdict(Next.END, after, why="gone")
    if after.refusals >= REFUSALS_MAX:
        if on_refused == "stop":
            return Verdict(Next.END, after, why="refused")
        # Nothing was delivered, so the time of nothing but failure goes on.
        return Verdict(Next.SKIP, Trouble(failing_since=after.failing_since))
    if after.failing_since is not None and now - after.failing_since >= GIVE_UP_S:
        return Verdict(Next.END, after, why="failing")
    return Verdict(Next.WAIT, after, pause_s(after.failures, answer.retry_after_s, chance))


def judge_replay(trouble: Trouble, answer: Answer, now: float, chance: float) -> Verdict:
    """What follows from the answer for a replay: an event that is refused is passed over at once."""
    if answer.good or answer.status in REFUSED:
        return Verdict(Next.GO_ON if answer.good else Next.SKIP, Trouble())
    after = _after_failure(trouble, answer, now)
    if answer.status == GONE:
        return Verdict(Next.END, after, why="gone")
    if after.failing_since is not None and now - after.failing_since >= GIVE_UP_S:
        return Verdict(Next.END, after, why="failing")
    return Verdict(Next.WAIT, after, pause_s(after.failures, answer.retry_after_s, chance))


def _after_failure(trouble: Trouble, answer: Answer, now: float) -> Trouble:
    since = now if trouble.failing_since is None else trouble.failing_since
    if answer.status not in REFUSED:
        return Trouble(trouble.failures + 1, since, trouble.refusals, trouble.refused_since)
    fresh = trouble.refused_since is None or now - trouble.refused_since > REFUSALS_S
    return Trouble(
        trouble.failures + 1,
        since,
        1 if fresh else trouble.refusals + 1,
        now if fresh else trouble.refused_since,
    )
