"""The access matrix: what each of ten callers gets from every operation and every frame.

The callers, in the order of the columns:
anonymous; the order's customer and another one; the driver that carries the order, one that it is offered to,
and one that it does not concern; an admin; and three tokens of somebody who may: expired, for another
audience, of a session that was ended.

The order is assigned, except for the driver that one is offered to. An object of somebody else is a 404. One
thing about others' orders is told to any driver, as the protocol has it: that an acceptance came too
late or without an offer (409).
"""

from __future__ import annotations

from collections.abc import Mapping

CALLERS = (
    "anonymous", "owner", "other", "assigned", "offered", "stranger", "admin", "expired", "foreign", "revoked",
)  # fmt: skip

_OPEN = "200 200 200 200 200 200 200 200 200 200"
_ALL = "401 200 200 200 200 200 200 401 401 401"
_ADMIN = "401 403 403 403 403 403 200 401 401 401"
_ADMIN_201 = "401 403 403 403 403 403 201 401 401 401"
_ADMIN_202 = "401 403 403 403 403 403 202 401 401 401"
_ADMIN_204 = "401 403 403 403 403 403 204 401 401 401"
_DRIVER = "401 403 403 200 200 200 403 401 401 401"

CELLS: Mapping[str, str] = {
    #                       anon own oth ass off str adm exp for rev
    "auth.register":       "201 201 201 201 201 201 201 201 201 201",
    "auth.login":          _OPEN,
    "auth.refresh":        _OPEN,
    "auth.logout":         "401 204 204 204 204 204 204 401 401 401",
    "auth.password":       "401 204 204 204 204 204 204 401 401 401",
    "auth.reset":          "204 204 204 204 204 204 204 204 204 204",
    "auth.request_reset":  "202 202 202 202 202 202 202 202 202 202",
    "auth.me":             _ALL,
    "auth.profile":        _ALL,
    "auth.change_profile": _ALL,
    "auth.notices":        _ALL,
    "auth.choose_notices": _ALL,
    "auth.jwks":           _OPEN,
    "users.list":          _ADMIN,
    "users.create":        _ADMIN_201,
    "users.get":           _ADMIN,
    "users.update":        _ADMIN,
    "users.delete":        _ADMIN_204,
    "users.password":      _ADMIN_204,
    "users.reset":         _ADMIN_201,
    "users.profile":       _ADMIN,
    "users.change_profile": _ADMIN,
    "users.notices":       _ADMIN,
    "users.choose_notices": _ADMIN,
    "zones.list":          _ALL,
    "zones.create":        _ADMIN_201,
    "zones.get":           _ALL,
    "zones.update":        _ADMIN,
    "stores.list":         _ALL,
    "stores.create":       _ADMIN_201,
    "stores.get":          _ALL,
    "stores.update":       _ADMIN,
    "stores.delete":       _ADMIN_204,
    "stores.contact":      _ADMIN,
    "stores.set_contact":  _ADMIN,
    "stores.products":     _ALL,
    "products.list":       _ALL,
    "products.create":     _ADMIN_201,
    "products.get":        _ALL,
    "products.update":     _ADMIN,
    "products.delete":     _ADMIN_204,
    "orders.list":         _ALL,
    "orders.create":       "401 201 201 403 403 403 201 401 401 401",
    "orders.get":          "401 200 404 200 200 404 200 401 401 401",
    "orders.decisions":    _ADMIN,
    "orders.events":       "401 200 404 200 200 404 200 401 401 401",
    "orders.track":        "401 200 404 200 200 404 200 401 401 401",
    "orders.track_ticket": "401 201 404 201 201 404 201 401 401 401",
    "orders.share":        "401 201 404 403 403 403 201 401 401 401",
    "orders.unshare":      "401 204 404 403 403 403 204 401 401 401",
    # It wants the secret of a link and no token.
    "orders.shared":       "401 401 401 401 401 401 401 401 401 401",
    "orders.ready_time":   _ADMIN,
    "orders.accept":       "401 403 403 200 200 409 403 401 401 401",
    "orders.decline":      "401 403 403 409 200 409 403 401 401 401",
    "orders.pickup":       "401 403 403 200 404 404 403 401 401 401",
    "orders.delivery":     "401 403 403 200 404 404 403 401 401 401",
    "orders.failure":      "401 403 403 200 404 404 403 401 401 401",
    "orders.return":       "401 403 403 200 404 404 403 401 401 401",
    "orders.cancel":       "401 200 404 403 403 403 200 401 401 401",
    "orders.assign":       _ADMIN,
    "orders.reassign":     _ADMIN,
    "orders.conclude":     _ADMIN,
    "orders.release":      _ADMIN,
    "payments.create":     "401 201 404 403 403 403 403 401 401 401",
    "payments.get":        "401 200 404 403 403 403 200 401 401 401",
    "payments.list":       "401 200 200 403 403 403 200 401 401 401",
    "payments.refund":     _ADMIN,
    # Nothing is to be settled of a payment that goes on.
    "payments.settle":     "401 403 403 403 403 403 409 401 401 401",
    "webhooks.list":       _ADMIN,
    "webhooks.create":     _ADMIN_201,
    "webhooks.get":        _ADMIN,
    "webhooks.update":     _ADMIN,
    "webhooks.delete":     _ADMIN_204,
    "webhooks.rotate":     _ADMIN,
    "webhooks.test":       _ADMIN_202,
    # There is nothing to replay.
    "webhooks.replay":     "401 403 403 403 403 403 422 401 401 401",
    "webhooks.enable":     _ADMIN,
    "webhooks.attempts":   _ADMIN,
    "webhooks.dead_letters": _ADMIN,
    "webhooks.retry":      "401 403 403 403 403 403 404 401 401 401",
    "events.list":         _ADMIN,
    "drivers.list":        _ADMIN,
    "drivers.me":          _DRIVER,
    "drivers.my_orders":   _DRIVER,
    "drivers.availability": _DRIVER,
    "drivers.take_offline": _ADMIN,
    "drivers.location":    "401 403 403 204 204 204 403 401 401 401",
    "jobs.list":           _ADMIN,
    "jobs.get":            _ADMIN,
    "jobs.retry":          _ADMIN,
    "jobs.discard":        _ADMIN,
    "jobs.act":            _ADMIN,
    "jobs.actions":        _ADMIN,
    "jobs.tasks":          _ADMIN,
    "jobs.pause":          _ADMIN,
    "jobs.resume":         _ADMIN_204,
    "jobs.schedules":      _ADMIN,
    "jobs.change_schedule": _ADMIN,
    "jobs.run_schedule":   "401 403 403 403 403 403 202 401 401 401",
    "reports.daily":       _ADMIN,
    "reports.cash":        _ADMIN,
    # Without a header a browser may still show a ticket in its first frame.
    "feed.open":           "101 403 403 101 101 101 403 401 401 401",
    "feed.ticket":         "401 403 403 201 201 201 403 401 401 401",
    "console.live":        "101 403 403 403 403 403 101 401 401 401",
    "console.ticket":      _ADMIN_201,
    "docs.openapi":        _OPEN,
    "docs.front":          _OPEN,
    "docs.page":           _OPEN,
    "docs.script":         _OPEN,
    "docs.style":          _OPEN,
    "docs.versions":       _OPEN,
    "docs.asyncapi":       _OPEN,
    "docs.problems":       _OPEN,
    "docs.problem":        _OPEN,
    "docs.migration":      _OPEN,
    "pages.track":         _OPEN,
    "pages.track_itself":  _OPEN,
    "pages.console":       _OPEN,
    "pages.console_itself": _OPEN,
    "pages.drive":         _OPEN,
    "pages.drive_itself":  _OPEN,
    # No file has the name of the table's ids.
    "pages.file":          "404 404 404 404 404 404 404 404 404 404",
    "health.liveness":     _OPEN,
    "health.readiness":    _OPEN,
    "health.startup":      _OPEN,
}  # fmt: skip

# What a driver that carries the order, one that it is offered to, and one that it does not concern are told.
FRAME_CELLS: Mapping[str, tuple[str, str, str]] = {
    "offer.accept": ("already_yours", "won", "order_taken"),
    "offer.decline": ("not_offered", "declined", "not_offered"),
    "order.pickup": ("picked_up", "order_not_found", "order_not_found"),
    "order.delivery": ("delivered", "order_not_found", "order_not_found"),
    "order.failure": ("failed", "order_not_found", "order_not_found"),
    "order.return": ("returned", "order_not_found", "order_not_found"),
}
# Frames that name nobody's order: they are about the socket, or about the driver that holds it.
OWN_FRAMES = frozenset({"hello", "ack", "ping", "pong", "offer.seen", "availability", "loc", "auth.refresh"})


def statuses(operation: str) -> dict[str, int]:
    """The expected status per caller.

    Raises:
        KeyError: nobody has said who may do this.
    """
    found = [int(cell) for cell in CELLS[operation].split()]
    return dict(zip(CALLERS, found, strict=True))
