"""What clients know of the public protocol. It imports nothing, so that locust's processes can use it."""

from __future__ import annotations

# The subprotocol of the feed, and where it is.
PROTOCOL = "malldrive.v1"
FEED_PATH = "/api/v2/drivers/feed"
# What a driver may be told instead of `won`: others were faster, or the customer has cancelled.
LOSING = frozenset(
    {"order_taken", "driver_busy", "driver_offline", "not_offered", "order_closed", "offer_expired"}
)
