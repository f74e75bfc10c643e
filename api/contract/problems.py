"""Table of all problems, and the answer for each (RFC 9457).

`retryable` says whether the same request, with the same key, may succeed later. A 503 also carries
`not_processed: true`: it certainly had no effect. 500 and 504 mean that the outcome is unknown: repeat with the same
key.
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
class ProblemType:
    """A row of the table.

    Attributes:
        status: HTTP status.
        title: the same for every occurrence of the problem.
        retryable: the same request may succeed later.
        log: level of the request's log line.
    """

    status: int
    title: str
    retryable: bool = False
    log: str = "info"


KINDS: Mapping[str, ProblemType] = {
    "malformed_request": ProblemType(400, "The request cannot be read"),
    "malformed_json": ProblemType(400, "The body is not acceptable JSON"),
    "invalid_cursor": ProblemType(400, "The cursor does not belong to this list"),
    "invalid_idempotency_key": ProblemType(400, "The Idempotency-Key is missing or malformed"),
    "unknown_subprotocol": ProblemType(400, "No common WebSocket subprotocol"),
    "version_conflict": ProblemType(400, "Path and header name different versions"),
    "version_unsupported": ProblemType(400, "There is no such version of the API"),
    "token_in_url": ProblemType(400, "A token does not belong into a URL"),
    "unauthenticated": ProblemType(401, "A valid access token is needed"),
    "invalid_credentials": ProblemType(401, "E-mail or password is wrong"),
    "invalid_refresh_token": ProblemType(401, "The refresh token is not valid any more"),
    "invalid_reset_token": ProblemType(401, "The link is not valid any more"),
    "payment_declined": ProblemType(402, "The card was declined"),
    "forbidden": ProblemType(403, "This is not for your role"),
    "forbidden_origin": ProblemType(403, "This origin is not allowed"),
    "forbidden_header": ProblemType(403, "A header is not allowed to pages of other origins"),
    "forbidden_method": ProblemType(403, "A method is not allowed to pages of other origins"),
    "wrong_password": ProblemType(403, "The password is wrong"),
    "account_disabled": ProblemType(403, "The account is disabled"),
    "not_found": ProblemType(404, "There is no such resource"),
    "order_not_found": ProblemType(404, "There is no such order"),
    "driver_not_found": ProblemType(404, "There is no such driver"),
    "method_not_allowed": ProblemType(405, "The resource does not know this method"),
    "not_acceptable": ProblemType(406, "No acceptable representation"),
    "request_timeout": ProblemType(408, "The request did not come in time", retryable=True),
    "last_admin": ProblemType(409, "The last administrator stays one"),
    "user_busy": ProblemType(409, "The user has orders under way"),
    "email_taken": ProblemType(409, "The e-mail address is in use"),
    "payment_not_due": ProblemType(409, "The order does not wait for a payment"),
    "cards_not_taken": ProblemType(409, "This mall takes no cards at the moment"),
    "refund_in_progress": ProblemType(409, "Another refund of this payment is under way", retryable=True),
    "refund_too_large": ProblemType(409, "No more can be given back than is left of the payment"),
    "payment_exists": ProblemType(409, "The order has a payment already"),
    "webhooks_not_configured": ProblemType(409, "This mall sends no webhooks at the moment"),
    "too_many_webhooks": ProblemType(409, "No more webhooks, or replays of one, are accepted"),
    "request_in_flight": ProblemType(409, "The same key is being worked on", retryable=True),
    "out_of_stock": ProblemType(409, "Not enough in stock"),
    "price_changed": ProblemType(409, "The order costs something else now"),
    "too_many_unpaid": ProblemType(409, "Too many orders wait for their payment"),
    "too_soon": ProblemType(409, "It cannot be at the door that early"),
    "too_many_held": ProblemType(409, "Too many pieces are held for this customer"),
    refusals.ORDER_TAKEN: ProblemType(409, "Another driver has the order"),
    refusals.DRIVER_BUSY: ProblemType(409, "All slots of the driver are taken"),
    refusals.DRIVER_OFFLINE: ProblemType(409, "The driver is offline"),
    refusals.NOT_OFFERED: ProblemType(409, "The order was not offered to this driver"),
    refusals.ORDER_CLOSED: ProblemType(409, "The order is not open"),
    refusals.INVALID_TRANSITION: ProblemType(409, "The order's state does not allow it"),
    refusals.PIN_REQUIRED: ProblemType(409, "The delivery needs the customer's PIN"),
    refusals.WRONG_PIN: ProblemType(409, "The PIN is wrong"),
    refusals.PIN_LOCKED: ProblemType(409, "Too many wrong PINs"),
    "job_running": ProblemType(409, "A worker is at the job"),
    "job_not_failed": ProblemType(409, "The job has not failed"),
    "job_ended": ProblemType(409, "The job is done or was discarded"),
    "count_differs": ProblemType(409, "There are not as many jobs as expected"),
    "too_many_shares": ProblemType(409, "The order has too many share links"),
    "too_many_watchers": ProblemType(409, "Too many follow this order already", retryable=True),
    refusals.OFFER_EXPIRED: ProblemType(410, "The offer has expired"),
    "version_gone": ProblemType(410, "This version of the API has ended"),
    "length_required": ProblemType(411, "The request needs a Content-Length"),
    refusals.PRECONDITION_FAILED: ProblemType(412, "It has changed since you have seen it"),
    "body_too_large": ProblemType(413, "The body is too large"),
    "target_too_long": ProblemType(414, "The target is too long"),
    "unsupported_media_type": ProblemType(415, "The body must be application/json without encoding"),
    "expectation_failed": ProblemType(417, "The expectation cannot be met"),
    "unknown_host": ProblemType(421, "This server is not asked under that name"),
    "invalid": ProblemType(422, "Some fields are not valid"),
    "key_reused": ProblemType(422, "The key was used for another request"),
    "unknown_product": ProblemType(422, "A product does not exist"),
    "inactive_product": ProblemType(422, "A product is not for sale"),
    "mixed_currency": ProblemType(422, "The products have different currencies"),
    "mixed_zones": ProblemType(422, "The products are in different zones"),
    refusals.NOT_A_PICKUP: ProblemType(409, "The order is not fetched from this store"),
    "out_of_range": ProblemType(422, "The store does not deliver that far"),
    "upgrade_required": ProblemType(426, "This resource speaks WebSocket version 13"),
    "precondition_required": ProblemType(428, "Writing needs If-Match"),
    "rate_limited": ProblemType(429, "Too many requests", retryable=True),
    "too_many_connections": ProblemType(429, "Too many connections from this address", retryable=True),
    "headers_too_large": ProblemType(431, "The headers are too large, or too many"),
    "internal": ProblemType(500, "Something went wrong here", retryable=True, log="error"),
    "overloaded": ProblemType(503, "Too much to do at the moment", retryable=True, log="warning"),
    "unavailable": ProblemType(503, "Not available at the moment", retryable=True, log="warning"),
    "version_brownout": ProblemType(503, "This version of the API is switched off on trial", retryable=True),
    "draining": ProblemType(503, "This instance is going away", retryable=True),
    "outcome_unknown": ProblemType(504, "The outcome is not known yet", retryable=True, log="warning"),
}

# Errors of other packages, by class: the first that fits.
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
    # Handlers know the value or the row; where one does not check, it is an internal error.
    (storage_errors.Duplicate, "internal"),
    (storage_errors.MissingReference, "internal"),
    (storage_errors.WriteRefused, "internal"),
    (service_errors.NoSuchUser, "not_found"),
    (service_errors.EmailTaken, "email_taken"),
    (service_errors.AccountClosed, "account_disabled"),
    (service_errors.LastAdmin, "last_admin"),
    (service_errors.UserBusy, "user_busy"),
    (service_errors.PasswordReplaced, "wrong_password"),
    (service_errors.SessionOver, "unauthenticated"),
    (service_errors.ResetTokenInvalid, "invalid_reset_token"),
    (service_errors.NoSecretsKey, "webhooks_not_configured"),
    (service_errors.TooManyWebhooks, "too_many_webhooks"),
    (service_errors.NoSuchJob, "not_found"),
    (service_errors.NoSuchTask, "not_found"),
    (service_errors.NoSuchSchedule, "not_found"),
    (service_errors.JobRunning, "job_running"),
    (service_errors.JobNotFailed, "job_not_failed"),
    (service_errors.JobEnded, "job_ended"),
    # Handlers name the field.
    (service_errors.NothingToReplay, "invalid"),
    (service_errors.UnknownFilter, "invalid"),
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
    """One fault of the input: its place (JSON pointer or name), the part of the request, and what is wrong."""

    location: str
    pointer: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """The fault as a member of `errors`."""
        return {"location": self.location, "pointer": self.pointer, "code": self.code, "detail": self.detail}


class Problem(Exception):
    """Exception that refuses the request with a row of the table.

    Args:
        code: key of KINDS.
        detail: a sentence about this occurrence that is safe to show.
        faults: the faults of the input, at most 50.
        headers: further headers, for example Retry-After.
        extra: further members, for example the order's status.
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
        """The body of the answer."""
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
    """The problem for any exception; an unknown one becomes `internal`, and its text is not shown."""
    if isinstance(error, Problem):
        return error
    for kind, code in CODES:
        if isinstance(error, kind):
            return Problem(code)
    return Problem("internal")


def problem_response(problem: Problem, trace: str) -> web.Response:
    """The HTTP answer for a problem."""
    headers = _PROBLEM_ANSWER.copy()
    headers.update(problem.headers)
    return web.Response(
        status=problem.kind.status, body=orjson.dumps(problem.as_json(trace)), headers=headers
    )
