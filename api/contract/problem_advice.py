"""Advice to clients for each problem: the default `detail` of an answer, and the text of the problem's page."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.domain import refusals

_AGAIN = "Send the same request again, with the same Idempotency-Key, after Retry-After."
_LOOK = "GET the order to see how it stands"

# By code of problems.KINDS.
REMEDIES: Mapping[str, str] = {
    "malformed_request": "Send an HTTP request as RFC 9110 has it, without parts that the operation does not take.",
    "malformed_json": "Send one JSON text in UTF-8, without repeated names, NaN and half characters.",
    "invalid_cursor": "Begin again without `cursor`, with the filters and the sort that you want.",
    "invalid_idempotency_key": "Send one Idempotency-Key of 16 to 255 visible ASCII characters, best a random UUID.",
    "unknown_subprotocol": "Send Sec-WebSocket-Protocol: malldrive.v1.",
    "version_conflict": "Leave the header Mall-Api-Version out, or name the version of the path.",
    "version_unsupported": "Name one of the versions in `supported`, or leave Mall-Api-Version out.",
    "token_in_url": "Send the token in the Authorization header; browsers ask for a ticket and send it in `hello`.",
    "unauthenticated": "Log in, or refresh the access token, and send Authorization: Bearer with it.",
    "invalid_credentials": "Check e-mail and password, and try again; after several wrong ones wait a minute.",
    "invalid_refresh_token": "Log in again: each refresh token is good once, and ends with its session.",
    "invalid_reset_token": "Ask an admin for another link: each works once, for an hour, and only the latest.",
    "payment_declined": "Ask for another card, and pay with a new Idempotency-Key.",
    "forbidden": "Ask as a user whose role has the scope of this operation; /docs lists them.",
    "forbidden_origin": "Ask whoever runs this server to add the origin of the page to MALL_CORS_ORIGINS.",
    "forbidden_header": "Leave out the headers that `errors` names; the documents list those that are known.",
    "forbidden_method": "Use a method that /docs shows for this path.",
    "wrong_password": "Send the present password as `old_password`.",
    "account_disabled": "Ask an admin to open the account again; logging in will not help.",
    "not_found": "Check path and id; lists show what there is.",
    "order_not_found": "Check the id; GET /api/v2/orders lists the orders that you may see.",
    "driver_not_found": "Check the id; GET /api/v2/drivers lists the drivers.",
    "method_not_allowed": "Use one of the methods in Allow.",
    "not_acceptable": "Accept application/json.",
    "request_timeout": "Send the whole request within its time, again, over a better line.",
    "last_admin": "Make somebody else an admin first, with a password of his own.",
    "user_busy": "Deliver, cancel or reassign the user's orders first; GET /api/v2/orders lists them.",
    "email_taken": "Log in with this address, or register another one.",
    "payment_not_due": "Do not pay: GET the order; it is paid, cancelled, or paid in cash.",
    "payment_exists": "GET the payment of `payment_id` instead of making another one.",
    "refund_too_large": "GET the payment, and give back at most what is left of its amount.",
    "refund_in_progress": "Wait for Retry-After, GET the payment, and ask again when the other refund is done.",
    "cards_not_taken": "Order with cash, or come back when whoever runs this server has set a payment gateway.",
    "webhooks_not_configured": "Ask whoever runs this server to set MALL_SECRETS_KEY, which seals secrets.",
    "too_many_webhooks": "Delete a webhook that nobody needs, or wait until its replays are done.",
    "request_in_flight": "Wait for Retry-After and send the same request again: you get the answer of the first one.",
    "out_of_stock": "Take fewer of the products that `errors` names, or leave them out, and order with a new key.",
    refusals.ORDER_TAKEN: "Let it go: another driver was faster. The next offers come over the feed.",
    refusals.DRIVER_BUSY: "Deliver or release an order that the driver carries, then try again with a new key.",
    refusals.DRIVER_OFFLINE: "Bring the driver online first: PUT /api/v2/drivers/me/availability.",
    refusals.NOT_OFFERED: "Accept only what was offered to this driver; the feed shows it.",
    refusals.ORDER_CLOSED: f"Let it go: it waits for no driver (any more). {_LOOK}.",
    refusals.INVALID_TRANSITION: f"{_LOOK}, and send what fits its `status`.",
    "job_running": "Wait until the attempt has ended: GET the job to see how it stands.",
    "job_not_failed": "Let it go: it runs when its time has come, which `due_at` of the job says.",
    "job_ended": "GET the job: `runs` say how it ended. Nothing is left to be done.",
    "count_differs": "Look at the jobs again, and send the request with the number in `count` as `expected_count`.",
    "too_many_watchers": "Close a stream of this order that nobody looks at, or GET the order now and then.",
    refusals.OFFER_EXPIRED: "Let it go: the offer has ended. Accept the next one within its time.",
    "version_gone": "Move to version 2; /docs/migration says how.",
    "length_required": "Send Content-Length, or Transfer-Encoding: chunked.",
    refusals.PRECONDITION_FAILED: "GET it again, look at what has changed, and send the change with its new ETag.",
    "body_too_large": "Send a body of at most 64 KiB.",
    "target_too_long": "Shorten path and query to 4 KiB.",
    "unsupported_media_type": "Send Content-Type: application/json, and no Content-Encoding.",
    "expectation_failed": "Leave the Expect header out.",
    "unknown_host": "Ask under an address, or have the name added to MALL_OPS_HOSTS.",
    "invalid": "Correct what `errors` names, and send it again.",
    "key_reused": "Make a new Idempotency-Key for each new request; keep the old one for repetitions of the old one.",
    "unknown_product": "Leave out the products that `errors` names; GET /api/v2/products lists those that there are.",
    "inactive_product": "Leave out the products that `errors` names: they are not sold at the moment.",
    "mixed_currency": "Place an order for each currency.",
    "mixed_zones": "Place an order for each zone.",
    "price_changed": "Show the customer `total` and `prices`, and order again with the new total and another key.",
    "too_many_unpaid": "Pay for one of the orders that wait, or cancel it; then order again with another key.",
    "too_many_held": "Pay for an order or cancel one, or order fewer pieces; then order again with another key.",
    "not_a_pickup": "Name the store of one of the order's `pickups`, or none to mean all of them.",
    "out_of_range": "Choose another place for the drop-off, or a store that delivers there.",
    "upgrade_required": "Open a WebSocket of version 13 here.",
    "precondition_required": "GET it, and send its ETag as If-Match; `*` stands for whatever is there.",
    "rate_limited": "Wait for Retry-After, and ask less often; RateLimit-Policy says how often.",
    "too_many_connections": "Close connections, or use one for many requests.",
    "headers_too_large": "Send fewer headers and shorter ones: 64, and 8 KiB in all.",
    "internal": "Send the same request again with the same Idempotency-Key. If it goes on, report the `trace_id`.",
    "overloaded": _AGAIN,
    "unavailable": _AGAIN,
    "version_brownout": "Wait for Retry-After, and move to version 2 before the sunset; /docs/migration says how.",
    "draining": f"{_AGAIN} Another instance answers.",
    "outcome_unknown": "Send the same request again with the same Idempotency-Key: it has one effect, once.",
}


def remedy_of(code: str) -> str:
    """The advice for a code."""
    return REMEDIES.get(code, "")
