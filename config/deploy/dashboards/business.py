"""Business: orders, deliveries, drivers, logins."""

from __future__ import annotations

from config.deploy.dashboards.panels import ZONES, Board, PanelQuery, Section, lines, stat
from config.deploy.dashboards.promql import at_rest, events, latest, mean, per_second, ratio

_CREATED = 'mall_orders_total{event="created"}'
_DELIVERED = 'mall_orders_total{event="delivered"}'
_ZONE = 'zone=~"$zone"'

_HOUR = Section(
    "The last hour",
    (
        stat(
            1, "Orders", "short",
            "Orders placed in the last hour.",
            PanelQuery(events(_CREATED, "1h"), "orders"),
            alerts=("MallNoOrders",),
        ),
        stat(
            2, "Deliveries", "short",
            "Orders delivered in the last hour.",
            PanelQuery(events(_DELIVERED, "1h"), "deliveries"),
        ),
        stat(
            3, "Mean delivery time", "s",
            "From placing to delivery, mean of the orders that were delivered in the last hour.",
            PanelQuery(mean('mall_order_stage_seconds{stage="delivered"}', window="1h"), "mean"),
        ),
        stat(
            4, "Share that could not be delivered", "percentunit",
            "Orders that failed or came back, among those that ended with the driver in the last hour.",
            PanelQuery(
                ratio(
                    'mall_orders_total{event=~"failed|returned"}',
                    'mall_orders_total{event=~"failed|returned|delivered"}',
                    window="1h",
                ),
                "not delivered",
            ),
            alerts=("MallOrdersFail",), limited=True,
        ),
    ),
)  # fmt: skip
_ORDERS = Section(
    "Orders",
    (
        lines(
            5, "Orders per hour", "short",
            "Orders placed within an hour, beside the same hour a week ago. A day that is far below its week has a "
            "reason: a holiday, or a fault that no alert sees.",
            PanelQuery(events(_CREATED, "1h"), "this week"),
            PanelQuery(at_rest(f"sum(increase({_CREATED}[1h] offset 1w))"), "a week ago"),
            alerts=("MallNoOrders",),
        ),
        lines(
            6, "What became of orders, per hour", "short",
            "Events of orders within an hour: offered, assigned, picked up, delivered, cancelled, failed.",
            PanelQuery(events("mall_orders_total", "1h", "event"), "{{event}}"),
        ),
        lines(
            9, "Open orders", "short",
            "Orders that have not ended, by status, in the chosen zones.",
            PanelQuery(
                at_rest(f"sum by (state) (max by (zone, state) (mall_open_orders{{{_ZONE}}}))", "state"), "{{state}}"
            ),
        ),
        lines(
            10, "Oldest open order", "s",
            "Age of the oldest order of each status in the chosen zones. A confirmed order of 20 minutes has no "
            "driver, and pages.",
            PanelQuery(latest("max", f"mall_open_orders_oldest_seconds{{{_ZONE}}}", "state"), "{{state}}"),
            alerts=("MallOrdersWait",), limited=True,
        ),
    ),
)  # fmt: skip
_PEOPLE = Section(
    "Drivers and customers",
    (
        lines(
            11, "Drivers online", "short",
            "Drivers that want orders in the chosen zones. Unreachable ones are online, but their socket is gone.",
            PanelQuery(
                at_rest(f"sum by (state) (max by (zone, state) (mall_online_drivers{{{_ZONE}}}))", "state"),
                "{{state}}",
            ),
        ),
        lines(
            12, "Answers to offers", "cps",
            "Acceptances by result, and declined offers. Many acceptances that come too late mean that waves are "
            "too large.",
            PanelQuery(per_second('mall_commands_total{command="accept"}', "result"), "accept: {{result}}"),
            PanelQuery(per_second('mall_orders_total{event="declined"}'), "declined"),
        ),
        lines(
            13, "Logins", "cps",
            "Attempts to log in by outcome. Many refusals at once are somebody who tries passwords.",
            PanelQuery(per_second("mall_logins_total", "outcome"), "{{outcome}}"),
        ),
        lines(
            14, "Refresh tokens", "cps",
            "Refresh tokens shown, by what they led to: `rotate` is usual, `repeat` a lost answer, and `end` ended the "
            "session, because a replaced token was shown.",
            PanelQuery(per_second("mall_refreshes_total", "verdict"), "{{verdict}}"),
        ),
        lines(
            15, "Keyed orders and payments", "cps",
            "Creations with an idempotency key: new ones, and repetitions that got the first answer again.",
            PanelQuery(per_second("mall_idempotency_total", "outcome"), "{{outcome}}"),
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "business",
    "Business",
    "Orders, deliveries and the people behind them. Counts are of events after their commit, so none is counted twice.",
    (_HOUR, _ORDERS, _PEOPLE),
    (ZONES,),
    since="24h",
)
