"""Deliveries: how long they take, and whether they keep what was promised."""

from __future__ import annotations

from config.deploy.dashboards.panels import INSTANCES, Board, PanelQuery, Section, lines
from config.deploy.dashboards.promql import events, here, mean, per_second, quantile, ratio

_STAGES = "mall_order_stage_seconds"
_ERRORS = "mall_eta_error_ratio"

_TIMES = Section(
    "Times",
    (
        lines(
            1, "Mean time to each stage", "s",
            "From placing to the first offer, to assignment, to pick-up and to delivery. Mean of 15 minutes.",
            PanelQuery(mean(_STAGES, "stage", window="15m"), "{{stage}}"),
        ),
        lines(
            2, "Time to each stage, slowest tenth", "s",
            "The same, 90th percentile. When assignment grows, there are too few drivers; when only delivery does, "
            "the ways are long.",
            PanelQuery(quantile(0.9, _STAGES, "stage", window="15m"), "{{stage}}"),
        ),
        lines(
            3, "Wait for the first offer", "s",
            "From when a driver could be asked for an order to its first offer; in zones that plan, to its place in a "
            "plan.",
            PanelQuery(quantile(0.5, "mall_first_offer_seconds", window="15m"), "p50"),
            PanelQuery(quantile(0.99, "mall_first_offer_seconds", window="15m"), "p99"),
            alerts=("MallErrorBudgetBurn",),
        ),
    ),
)  # fmt: skip
_PROMISES = Section(
    "Promises",
    (
        lines(
            4, "Promises kept", "percentunit",
            "Deliveries that came no later than was promised when the order was placed. Nine of ten are expected; less "
            "means that it has become slower than of late.",
            PanelQuery(ratio('mall_promises_total{result="kept"}', "mall_promises_total", window="1h"), "kept"),
            width=12,
        ),
        lines(
            5, "Error of the expected time", "percentunit",
            "Between the time that was expected at placing and the delivery, as a share of the time that the delivery "
            "took: mean, which is the mean absolute percentage error, and slowest tenth.",
            PanelQuery(mean(_ERRORS, window="1h"), "mean"),
            PanelQuery(quantile(0.9, _ERRORS, window="1h"), "p90"),
            width=12,
        ),
    ),
)  # fmt: skip
_OFFERS = Section(
    "Offers",
    (
        lines(
            10, "Declined offers", "cps",
            "By the reason that drivers gave. Many that are too far: lower the reach of the first rungs of the zone's "
            "offer ladder, or its planner believes that drivers are faster than they are.",
            PanelQuery(per_second("mall_offers_declined_total", "reason"), "{{reason}}"),
            width=24,
        ),
    ),
)  # fmt: skip
_PLANNER = Section(
    "Planner",
    (
        lines(
            6, "Time of a step", "s",
            "From a zone's question to its plan: median and slowest 1 %. A zone asks at most four times a second.",
            PanelQuery(quantile(0.5, here("mall_plan_step_seconds")), "p50"),
            PanelQuery(quantile(0.99, here("mall_plan_step_seconds")), "p99"),
            width=12,
        ),
        lines(
            7, "Steps without a plan", "cps",
            "Steps that took too long, whose process has died, or that failed. Without a plan for half a minute a zone "
            "offers its orders to the nearest drivers.",
            PanelQuery(per_second(here("mall_plan_steps_failed_total"), "reason"), "{{reason}}"),
            width=12,
        ),
        lines(
            8, "Stored inputs of steps", "Bps",
            "What decisions are made again from (`run.py explain ORDER --replay`), compressed.",
            PanelQuery(per_second(here("mall_plan_step_stored_bytes_total")), "stored"),
            width=12,
        ),
        lines(
            9, "Inputs of steps that were dropped", "cps",
            "Their decisions cannot be made again; the offers themselves are as ever. full: the database is slower "
            "than the zones; large: too many orders and drivers; failed: the database was away.",
            PanelQuery(per_second(here("mall_plan_steps_dropped_total"), "reason"), "{{reason}}"),
            width=12,
        ),
    ),
)  # fmt: skip
_TRIPS = Section(
    "Trips",
    (
        lines(
            11, "Distance saved by trips", "m",
            "Metres that trips saved in an hour against each order alone and back. The figures of days have it "
            "beside what no trips could have exceeded.",
            PanelQuery(events("mall_saved_distance_m_total", "1h", "zone"), "{{zone}}"),
            width=24,
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "deliveries",
    "Deliveries",
    "How long deliveries take, from placing to the door, and whether they keep what their customers were promised.",
    (_TIMES, _PROMISES, _OFFERS, _PLANNER, _TRIPS),
    (INSTANCES,),
    since="24h",
)
