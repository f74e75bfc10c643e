"""Delivery: what one claim sends, one request after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from actors.clock import Clock, Randomness
from actors.tracing import NO_TRACER, SpanKind, SpanService, Tracer, is_recorded
from dispatch.domain.ids import WEBHOOK, public_id
from dispatch.webhooks.policy import Next, Verdict, judge, judge_replay
from dispatch.webhooks.ports import Observer, Post, WebhookStore
from dispatch.webhooks.settling import ClaimLedger
from dispatch.webhooks.values import (
    GAP,
    PING,
    Answer,
    Attempt,
    DeadLetter,
    Filters,
    LoggedEvent,
    Message,
    Replay,
    ReplayProgress,
    Trouble,
    WebhookClaim,
    message_id,
)

# Events of an endpoint in memory.
BATCH_MAX = 50
# A claim ends after this time, so that changes of its endpoint come through and others get their turn.
TURN_S = 5.0
# A request must end within its lease: none begins when less is left.
REQUEST_S_MAX = 20.0
# Pause when the receiver's host has as many requests as it may.
BUSY_S = 1.0


class Lost(Exception):
    """The claim does not hold any more: another sender may be at work."""


class WebhookDelivery:
    """Sends what is due at one endpoint: its ping, the events behind its cursor, then a part of a replay."""

    def __init__(
        self,
        ledger: ClaimLedger,
        store: WebhookStore,
        post: Post,
        clock: Clock,
        entropy: Randomness,
        observer: Observer,
        request_s: float = REQUEST_S_MAX,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self.ledger = ledger
        self._claim: WebhookClaim = ledger.claim
        self._store = store
        self._post = post
        self._clock = clock
        self._entropy = entropy
        self._observer = observer
        self._request_s = request_s
        self._tracer = tracer
        self._until = clock.monotonic() + TURN_S

    def stop(self) -> None:
        """End the claim after the request that is under way."""
        self._until = 0.0

    async def run(self) -> None:
        """Send, and release the claim.

        Raises:
            Lost: nothing may be written any more.
            StorageError: the log could not be read.
        """
        claim, due_s = self._claim, None
        if claim.ping is not None:
            await self._ping(claim.ping)
        if claim.live:
            due_s = await self._live()
        if claim.replay is not None and not self.ledger.disabled:
            await self._repeat(claim.replay)
        self.ledger.release(due_s)

    def _over(self) -> bool:
        return self._clock.monotonic() >= self._until

    # -- the cursor -----------------------------------------------------------------------------------

    async def _live(self) -> float | None:
        """Send from the cursor on. Returns when to go on: None at the end of the log."""
        ledger, filters = self.ledger, self._claim.filters
        while True:
            batch = await self._store.read(filters, ledger.reached, None, BATCH_MAX)
            if batch.log_begin > ledger.reached + 1:
                due_s = await self._tell_gap(ledger.reached + 1, batch.log_begin - 1)
                if due_s is not None:
                    return due_s
                continue
            for event in batch.events:
                due_s = await self._send_event(event)
                if due_s is None and self._over():
                    due_s = 0.0
                if due_s is not None:
                    return due_s
            ledger.advance(batch.seen, ledger.trouble)
            if batch.seen >= batch.log_end:
                return None
            if self._over():
                return 0.0

    async def _send_event(self, event: LoggedEvent) -> float | None:
        """Send the event at the cursor. Returns the pause after it; None to go on."""
        answer = await self._send(self._message(event), event.pos)
        if answer is None:
            return self._busy_s()
        verdict = self._judged(answer)
        if verdict.next is Next.SKIP:
            assert answer.status is not None
            letter = DeadLetter(event.pos, answer.status, self.ledger.trouble.refusals + 1)
            self.ledger.bury(letter)
        return self._follow(verdict, event.pos)

    async def _tell_gap(self, first: int, last: int) -> float | None:
        """Send that events were deleted before they could be sent. The cursor goes behind them when it is known."""
        data = {"first_lost": message_id(first), "last_lost": message_id(last), "count": last - first + 1}
        answer = await self._send(self._own(f"gap_{first}_{last}", GAP, data), last)
        if answer is None:
            return self._busy_s()
        verdict = self._judged(answer)
        if verdict.next in (Next.GO_ON, Next.SKIP):
            self.ledger.lose_events(first, last)
        return self._follow(verdict, last)

    def _judged(self, answer: Answer) -> Verdict:
        now, chance = self._clock.monotonic(), self._entropy.random()
        return judge(self.ledger.trouble, answer, self._claim.on_refused, now, chance)

    def _follow(self, verdict: Verdict, pos: int) -> float | None:
        """Do what the verdict says. Returns the pause; None to go on behind this event."""
        ledger = self.ledger
        if verdict.next in (Next.GO_ON, Next.SKIP):
            ledger.advance(pos, verdict.trouble)
            return None
        ledger.advance(ledger.reached, verdict.trouble)
        if verdict.next is Next.END:
            ledger.disable(verdict.why)
            return 0.0
        return verdict.wait_s

    def _busy_s(self) -> float:
        return BUSY_S * (1 + self._entropy.random())

    # -- beside the cursor ----------------------------------------------------------------------------

    async def _ping(self, ping: str) -> None:
        data = {"webhook_id": public_id(WEBHOOK, self._claim.endpoint)}
        if await self._send(self._own(ping, PING, data), None) is not None:
            self.ledger.pinged(ping)

    async def _repeat(self, replay: Replay) -> None:
        """Send a part of a replay: up to one batch."""
        filters = self._claim.filters
        if replay.types:
            filters = Filters(replay.types, filters.zone_ids, filters.store_ids, filters.owner_store_id)
        batch = await self._store.read(filters, replay.reached, replay.to_pos, BATCH_MAX)
        reached, trouble = replay.reached, replay.trouble
        for event in batch.events:
            answer = await self._send(self._message(event, replay), event.pos, replay.id)
            if answer is None:
                self._note_replay(replay, reached, trouble, due_s=self._busy_s())
                return
            verdict = judge_replay(trouble, answer, self._clock.monotonic(), self._entropy.random())
            trouble = verdict.trouble
            if verdict.next is Next.END:
                self._note_replay(replay, reached, trouble, error=verdict.why)
                if verdict.why == "gone":
                    self.ledger.disable(verdict.why)
                return
            if verdict.next is Next.WAIT:
                self._note_replay(replay, reached, trouble, due_s=verdict.wait_s)
                return
            reached = event.pos
            self._note_replay(replay, reached, trouble)
            if self._over():
                return
        # What was deleted meanwhile is passed over.
        seen = max(batch.seen, min(batch.log_begin - 1, replay.to_pos))
        self._note_replay(replay, seen, trouble)

    def _note_replay(
        self, replay: Replay, reached: int, trouble: Trouble, *, due_s: float = 0.0, error: str | None = None
    ) -> None:
        done = reached >= replay.to_pos or error is not None
        self.ledger.replayed(ReplayProgress(replay.id, reached, trouble, due_s, done, error))

    # -- requests -------------------------------------------------------------------------------------

    async def _send(self, message: Message, pos: int | None, replay: int | None = None) -> Answer | None:
        """Send a message while the claim holds; its outcome is recorded.

        Raises:
            Lost: see above.
        """
        await self.ledger.room()
        began = self._clock.monotonic()
        if self.ledger.lost or began > self.ledger.leased_until - self._request_s:
            raise Lost
        answer = await self._post_recorded(message)
        if answer is not None:
            self.ledger.attempted(Attempt(message.id, pos, replay, began, answer))
            self._observer.attempted(answer)
        return answer

    async def _post_recorded(self, message: Message) -> Answer | None:
        """Post a message; with a span, where its trace is recorded. The receiver's span is a child of that."""
        if not is_recorded(message.trace):
            return await self._post.send(message)
        span = self._tracer.begin(SpanService.JOBS, "POST webhook", message.trace, SpanKind.CLIENT)
        with span.running():
            answer = await self._post.send(replace(message, trace=span.trace))
            if answer is not None:
                failed = "" if answer.good else answer.error or f"status {answer.status}"
                about: dict[str, str | int] = {"mall.message": message.id}
                if answer.status is not None:
                    about["http.response.status_code"] = answer.status
                span.end(failed, **about)
        return answer

    def _message(self, event: LoggedEvent, replay: Replay | None = None) -> Message:
        claim = self._claim
        return Message(
            claim.endpoint,
            claim.url,
            claim.secrets,
            message_id(event.pos),
            event.body,
            event.trace,
            replay is not None,
        )

    def _own(self, name: str, kind: str, data: dict[str, Any]) -> Message:
        """A message that is not in the log."""
        at = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="milliseconds")
        body = orjson.dumps({"type": kind, "timestamp": at.replace("+00:00", "Z"), "data": data})
        claim = self._claim
        return Message(claim.endpoint, claim.url, claim.secrets, name, body, self._entropy.trace())
