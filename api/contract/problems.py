"""One table of everything that can go wrong, and what the caller sees (RFC 9457).

`retryable` says whether the very same request, with the same key, may succeed later. A 503 also carries
`not_processed: true`: it certainly had no effect. 500 and 504 mean that the outcome is unknown: repeat
with the same key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict

from actors import errors as runtime_errors
from actors.values import frozen
from api.auth.access_tokens import Blind
from api.contract.problem_advice import remedy_of
from dispatch import errors as service_errors
from dispatch.domain import refusals
from storage import errors as storage_errors


@frozen
class Kind:
    """A row of the table.

    Attributes:
        status: HTTP status.
        title: the same for every occurrence.
        retryable: the same request may succeed later.
        log: level of the request's log line.
    """

    status: int
    title: str
    retryable: bool = False
    log: str = "info"


KINDS: Mapping[str, Kind] = {
    "malformed_request": Kind(400, "The request cannot be read"),
    "malformed_json": Kind(400, "The body is not acceptable JSON"),
    "invalid_cursor": Kind(400, "The cursor does not belong to this list"),
    "invalid_idempotency_key": Kind(400, "The Idempotency-Key is missing or malformed"),
    "unknown_subprotocol": Kind(400, "No common WebSocket subprotocol"),
    "version_conflict": Kind(400, "Path and header name different versions"),
    "version_unsupported": Kind(400, "There is no such version of the API"),
    "token_in_url": Kind(400, "A token does not belong into a URL"),
    "unauthenticated": Kind(401, "A valid access token is needed"),
    "invalid_credentials": Kind(401, "E-mail or password is wrong"),
    "invalid_refresh_token": Kind(401, "The refresh token is not valid any more"),
    "invalid_reset_token": Kind(401, "The link is not valid any more"),
    "payment_declined": Kind(402, "The card was declined"),
    "forbidden": Kind(403, "This is not for your role"),
    "forbidden_origin": Kind(403, "This origin is not allowed"),
    "forbidden_header": Kind(403, "A header is not allowed to pages of other origins"),
    "forbidden_method": Kind(403, "A method is not allowed to pages of other origins"),
    "wrong_password": Kind(403, "The password is wrong"),
    "account_disabled": Kind(403, "The account is disabled"),
    "not_found": Kind(404, "There is no such resource"),
    "order_not_found": Kind(404, "There is no such order"),
    "driver_not_found": Kind(404, "There is no such driver"),
    "method_not_allowed": Kind(405, "The resource does not know this method"),
    "not_acceptable": Kind(406, "No acceptable representation"),
    "request_timeout": Kind(408, "The request did not come in time", retryable=True),
    "last_admin": Kind(409, "The last administrator stays one"),
    "user_busy": Kind(409, "The user has orders under way"),
    "email_taken": Kind(409, "The e-mail address is in use"),
    "payment_not_due": Kind(409, "The order does not wait for a payment"),
    "cards_not_taken": Kind(409, "This mall takes no cards at the moment"),
    "refund_in_progress": Kind(409, "Another refund of this payment is under way", retryable=True),
    "refund_too_large": Kind(409, "No more can be given back than is left of the payment"),
    "payment_exists": Kind(409, "The order has a payment already"),
    "request_in_flight": Kind(409, "The same key is being worked on", retryable=True),
    "out_of_stock": Kind(409, "Not enough in stock"),
    "price_changed": Kind(409, "The order costs something else now"),
    "too_many_unpaid": Kind(409, "Too many orders wait for their payment"),
    "too_many_held": Kind(409, "Too many pieces are held for this customer"),
    refusals.ORDER_TAKEN: Kind(409, "Another driver has the order"),
    refusals.DRIVER_BUSY: Kind(409, "All slots of the driver are taken"),
    refusals.DRIVER_OFFLINE: Kind(409, "The driver is offline"),
    refusals.NOT_OFFERED: Kind(409, "The order was not offered to this driver"),
    refusals.ORDER_CLOSED: Kind(409, "The order is not open"),
    refusals.INVALID_TRANSITION: Kind(409, "The order's state does not allow it"),
    "too_many_watchers": Kind(409, "Too many follow this order already", retryable=True),
    refusals.OFFER_EXPIRED: Kind(410, "The offer has expired"),
    "version_gone": Kind(410, "This version of the API has ended"),
    "length_required": Kind(411, "The request needs a Content-Length"),
    refusals.PRECONDITION_FAILED: Kind(412, "It has changed since you have seen it"),
    "body_too_large": Kind(413, "The body is too large"),
    "target_too_long": Kind(414, "The target is too long"),
    "unsupported_media_type": Kind(415, "The body must be application/json without encoding"),
    "expectation_failed": Kind(417, "The expectation cannot be met"),
    "unknown_host": Kind(421, "This server is not asked under that name"),
    "invalid": Kind(422, "Some fields are not valid"),
    "key_reused": Kind(422, "The key was used for another request"),
    "unknown_product": Kind(422, "A product does not exist"),
    "inactive_product": Kind(422, "A product is not for sale"),
    "mixed_currency": Kind(422, "The products have different currencies"),
    "mixed_zones": Kind(422, "The products are in different zones"),
    refusals.NOT_A_PICKUP: Kind(409, "The order is not fetched from this store"),
    "out_of_range": Kind(422, "The store does not deliver that far"),
    "upgrade_required": Kind(426, "This resource speaks WebSocket version 13"),
    "precondition_required": Kind(428, "Writing needs If-Match"),
    "rate_limited": Kind(429, "Too many requests", retryable=True),
    "too_many_connections": Kind(429, "Too many connections from this address", retryable=True),
    "headers_too_large": Kind(431, "The headers are too large, or too many"),
    "internal": Kind(500, "Something went wrong here", retryable=True, log="error"),
    "overloaded": Kind(503, "Too much to do at the moment", retryable=True, log="warning"),
    "unavailable": Kind(503, "Not available at the moment", retryable=True, log="warning"),
    "version_brownout": Kind(503, "This version of the API is switched off on trial", retryable=True),
    "draining": Kind(503, "This instance is going away", retryable=True),
    "outcome_unknown": Kind(504, "The outcome is not known yet", retryable=True, log="warning"),
}

# Errors of other rooms, by class: the first that fits.
CODES: Sequence[tuple[type[Exception], str]] = (
    (runtime_errors.Overloaded, "overloaded"),
    (runtime_errors.NotProcessed, "unavailable"),
    (runtime_errors.NoSuchActor, "not_found"),
    (runtime_errors.CommandReused, "key_reused"),
    (runtime_errors.OutcomeUnknown, "outcome_unknown"),
    (runtime_errors.ActorCrashed, "internal"),
    (Blind, "unavailable"),
    (storage_errors.NotDone, "unavailable"),
    (storage_errors.Unreachable, "outcome_unknown"),
    # Handlers know which value or row it is; where one does not ask, it is our fault.
    (storage_errors.Duplicate, "internal"),
    (storage_errors.MissingReference, "internal"),
    (storage_errors.Refused, "internal"),
    (service_errors.NoSuchUser, "not_found"),
    (service_errors.EmailTaken, "email_taken"),
    (service_errors.AccountClosed, "account_disabled"),
    (service_errors.LastAdmin, "last_admin"),
    (service_errors.UserBusy, "user_busy"),
    (service_errors.PasswordReplaced, "wrong_password"),
    (service_errors.SessionOver, "unauthenticated"),
    (service_errors.ResetTokenInvalid, "invalid_reset_token"),
    # Handlers name the field.
    (service_errors.UnknownZone, "invalid"),
    (service_errors.UnknownStore, "invalid"),
)


VERSION_HEADER = "Mall-Api-Version"
# Headers that every answer has. Answers of version 1 replace the version (api/v1/mount.py).
EVERY_ANSWER = {
    VERSION_HEADER: "2",
    "Vary": VERSION_HEADER,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_PROBLEM_ANSWER = CIMultiDict(
    {
        **EVERY_ANSWER,
        "Server": "mall",
        "Cache-Control": "no-store",
        "Content-Language": "en",
        "Content-Type": "application/problem+json",
    }
)


@frozen
class Fault:
    """One fault of the input: where (JSON pointer or name), in what part, and what is wrong."""

    location: str
    pointer: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """As a member of `errors`."""
        return {"location": self.location, "pointer": self.pointer, "code": self.code, "detail": self.detail}


class Problem(Exception):
    """Refuse the request with a row of the table.

    Args:
        code: key of KINDS.
        detail: a sentence about this occurrence that is safe to show.
        faults: the faults of the input, at most 50.
        headers: further headers, such as Retry-After.
        extra: further members, such as the order's status.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.kind = KINDS[code]
        self.detail = detail
        self.faults = faults[:50]
        self.headers = dict(headers or {})
        self.extra = extra
        if self.kind.status in (429, 503) or code == "request_in_flight":
            self.headers.setdefault("Retry-After", "1")
        if self.kind.status == 401:
            self.headers.setdefault("WWW-Authenticate", 'Bearer realm="mall"')

    def as_json(self, trace: str) -> dict[str, Any]:
        """The problem as the caller gets it."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "code": self.code,
            "trace_id": trace,
            "retryable": self.kind.retryable,
        }
        detail = self.detail or remedy_of(self.code)
        if detail:
            body["detail"] = detail
        if self.kind.status == 503:
            body["not_processed"] = True
        if self.faults:
            body["errors"] = [fault.as_json() for fault in self.faults]
        return body | self.extra


def problem_for(error: Exception) -> Problem:
    """The row for any exception; an unknown one becomes `internal`, and nothing of it is shown."""
    if isinstance(error, Problem):
        return error
    for kind, code in CODES:
        if isinstance(error, kind):
            return Problem(code)
    return Problem("internal")


def problem_response(problem: Problem, trace: str) -> web.Response:
    """The HTTP answer of a problem."""
    headers = _PROBLEM_ANSWER.copy()
    headers.update(problem.headers)
    return web.Response(
        status=problem.kind.status, body=orjson.dumps(problem.as_json(trace)), headers=headers
    )
