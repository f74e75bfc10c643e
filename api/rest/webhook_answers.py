"""Types of the answers about webhooks and the log of events, and their serializers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from actors.tracing import trace_id
from api import json_schema as s
from api.rest.answers import (
    PAGE_ROWS_MAX,
    Code,
    Cursor,
    EventType,
    Moment,
    StoreId,
    Text,
    TraceId,
    Truth,
    UserId,
    Whole,
    ZoneId,
)
from api.rest.serializers import timestamp
from dispatch.domain import ids
from dispatch.domain.ids import public_id

WebhookId = Annotated[str, WithJsonSchema(s.identifier(ids.WEBHOOK))]
ReplayId = Annotated[str, WithJsonSchema(s.identifier(ids.REPLAY))]
EventId = Annotated[str, WithJsonSchema(s.identifier(ids.EVENT))]
Url = Annotated[str, WithJsonSchema(s.text(2000, "^https?://"))]
Secret = Annotated[str, WithJsonSchema(s.text(60, "^whsec_[A-Za-z0-9+/]+=*$"))]
MessageId = Annotated[str, WithJsonSchema(s.text(60, "^(evt|gap|ping)_[0-9a-f_]+$"))]
Status = Annotated[int, WithJsonSchema(s.whole(100, 999))]
# Of an event that is not there: the beginning of the log.
Position = Annotated[str, WithJsonSchema(s.text(20, "^evt_[0-9]{1,15}$"))]
Data = Annotated[Mapping[str, Any], WithJsonSchema({"type": "object", "maxProperties": 50})]


class OwnerShown(TypedDict):
    user_id: UserId | None
    store_id: StoreId | None


class LastAttemptShown(TypedDict):
    at: Moment
    status: Status | None
    error: Code | None


class GapShown(TypedDict):
    """Events that were deleted before they could be sent."""

    first_lost: EventId
    last_lost: EventId
    at: Moment


class WebhookAnswer(TypedDict):
    id: WebhookId
    owner: OwnerShown
    url: Url
    description: Text | None
    types: Annotated[list[EventType], Field(max_length=50)]
    zone_ids: Annotated[list[ZoneId], Field(max_length=100)]
    store_ids: Annotated[list[StoreId], Field(max_length=100)]
    on_refused: Annotated[str, WithJsonSchema(s.one_of("skip", "stop"))]
    state: Annotated[str, WithJsonSchema(s.one_of("good", "failing", "disabled"))]
    reached: Position
    behind: Whole
    behind_since: Moment | None
    failures: Whole
    failing_since: Moment | None
    next_try_at: Moment | None
    last_attempt: LastAttemptShown | None
    dead_letters: Whole
    gap: GapShown | None
    disabled_at: Moment | None
    disabled_why: Code | None
    secret_at: Moment
    old_secret_until: Moment | None
    version: Whole
    created_at: Moment


class MadeWebhookAnswer(WebhookAnswer):
    secret: Secret


class WebhookSecretAnswer(TypedDict):
    secret: Secret
    old_secret_until: Moment | None


class WebhookTestAnswer(TypedDict):
    message_id: MessageId


class ReplayAnswer(TypedDict):
    id: ReplayId
    first: EventId
    last: EventId


class WebhookAttemptAnswer(TypedDict):
    message_id: MessageId
    event_id: EventId | None
    replay_id: ReplayId | None
    at: Moment
    status: Status | None
    error: Code | None
    took_ms: Whole


class DeadLetterAnswer(TypedDict):
    event_id: EventId
    at: Moment
    status: Status
    refusals: Whole


class LoggedEventAnswer(TypedDict):
    id: EventId
    type: EventType
    timestamp: Moment
    sequence: Whole
    data: Data
    trace_id: TraceId | None


class WebhooksAnswer(TypedDict):
    items: Annotated[list[WebhookAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class WebhookAttemptsAnswer(TypedDict):
    items: Annotated[list[WebhookAttemptAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class DeadLettersAnswer(TypedDict):
    items: Annotated[list[DeadLetterAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class LoggedEventsAnswer(TypedDict):
    items: Annotated[list[LoggedEventAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next_after: Position
    # The log has more behind `next_after`.
    more: Truth
    # Events behind `after` were deleted.
    missed: Truth


def _id(prefix: str, number: int | None) -> str | None:
    return None if number is None else public_id(prefix, number)


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


def webhook(row: Any) -> WebhookAnswer:
    """An endpoint with its state."""
    last: LastAttemptShown | None = None
    if row["last_at"] is not None:
        last = {"at": timestamp(row["last_at"]), "status": row["last_status"], "error": row["last_error"]}
    failing = "failing" if row["failures"] else "good"
    return {
        "id": public_id(ids.WEBHOOK, row["id"]),
        "owner": {
            "user_id": _id(ids.USER, row["owner_user_id"]),
            "store_id": _id(ids.STORE, row["owner_store_id"]),
        },
        "url": row["url"],
        "description": row["description"],
        "types": list(row["types"]),
        "zone_ids": [public_id(ids.ZONE, number) for number in row["zone_ids"]],
        "store_ids": [public_id(ids.STORE, number) for number in row["store_ids"]],
        "on_refused": row["on_refused"],
        "state": failing if row["disabled_at"] is None else "disabled",
        "reached": public_id(ids.EVENT, row["reached"]),
        "behind": row["behind"],
        "behind_since": _at(row["behind_since"]),
        "failures": row["failures"],
        "failing_since": _at(row["failing_since"]),
        "next_try_at": _at(row["next_try_at"]),
        "last_attempt": last,
        "dead_letters": row["dead_letters"],
        "gap": _gap(row),
        "disabled_at": _at(row["disabled_at"]),
        "disabled_why": row["disabled_why"],
        "secret_at": timestamp(row["secret_at"]),
        "old_secret_until": _at(row["old_secret_until"]),
        "version": row["version"],
        "created_at": timestamp(row["created_at"]),
    }


def _gap(row: Any) -> GapShown | None:
    if row["gap_at"] is None:
        return None
    first, last = public_id(ids.EVENT, row["gap_from"]), public_id(ids.EVENT, row["gap_to"])
    return {"first_lost": first, "last_lost": last, "at": timestamp(row["gap_at"])}


def replay(made: Mapping[str, Any]) -> ReplayAnswer:
    """A replay that was asked for."""
    return {
        "id": public_id(ids.REPLAY, made["id"]),
        "first": public_id(ids.EVENT, made["from_pos"]),
        "last": public_id(ids.EVENT, made["to_pos"]),
    }


def attempt(row: Any) -> WebhookAttemptAnswer:
    """A request to an endpoint and its outcome."""
    return {
        "message_id": row["message"],
        "event_id": _id(ids.EVENT, row["pos"]),
        "replay_id": _id(ids.REPLAY, row["replay_id"]),
        "at": timestamp(row["at"]),
        "status": row["status"],
        "error": row["error"],
        "took_ms": row["took_ms"],
    }


def dead_letter(row: Any) -> DeadLetterAnswer:
    """An event that an endpoint has refused for good."""
    return {
        "event_id": public_id(ids.EVENT, row["pos"]),
        "at": timestamp(row["at"]),
        "status": row["status"],
        "refusals": row["refusals"],
    }


def logged_event(row: Any) -> LoggedEventAnswer:
    """An event as receivers of webhooks get it, with its id and trace."""
    body = orjson.loads(row["body"])
    return {
        "id": public_id(ids.EVENT, row["pos"]),
        "type": body["type"],
        "timestamp": body["timestamp"],
        "sequence": body["sequence"],
        "data": body["data"],
        "trace_id": trace_id(row["trace"]) or None,
    }
