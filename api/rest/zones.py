"""Zones: malls or city areas, and their settings for offering orders."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, Field, model_validator

from api.auth.permissions import READS, WRITES
from api.contract.fields import Lat, Lon, Name, Strict
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Problem
from api.http.conditional import (
    WRITE_PROBLEMS,
    catalogue_policy,
    missed,
    row_tag,
    tagged,
    wanted_tags,
    written,
)
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, list_page
from api.http.request import RequestContext, json_response
from api.rest import serializers
from api.rest.answers import ZoneAnswer, ZonesAnswer
from dispatch.domain import ids
from dispatch.domain.offer_ladder import RUNGS_MAX

operations = Operations(Operation)

Mode = Annotated[
    Literal["planned", "waves", "open", "direct"],
    Field(
        description="How orders find their drivers. `planned`: a planner offers trips of one or more orders, each at "
        "the last moment at which asking costs nothing. `direct`: it assigns them. `waves`: the nearest drivers get "
        "offers, `wave_size` at once. `open`: all drivers of the zone see a board, and the first one wins."
    ),
]
WaveSize = Annotated[int, Field(ge=1, le=50)]
OfferTtl = Annotated[int, Field(ge=1, le=600)]
OfferDistance = Annotated[int, Field(ge=1, le=1_000_000)]
ReleasePause = Annotated[int, Field(ge=0, le=86_400)]
GiveUpAfter = Annotated[int, Field(ge=1, le=7 * 86_400)]
UnassignedAfter = Annotated[
    int,
    Field(
        ge=1,
        le=7 * 86_400,
        description="An order that has waited for a driver for so long is told of as `order.unassigned`. Null: never.",
    ),
]
# Pay for a delivery, in the currency of its order.
DriverPay = Annotated[int, Field(ge=0, le=1_000_000_000)]


QueueRadius = Annotated[
    int,
    Field(
        ge=10,
        le=10_000,
        description="Free drivers within so many metres of the middle of the zone's stores have places in a queue: the "
        "first to come is the first to be asked, among those who are there. Null: there is no queue.",
    ),
]


class Corner(Strict):
    lat: Lat
    lon: Lon


Area = Annotated[list[Corner], Field(min_length=3, max_length=100)]


class LadderRung(Strict):
    """A rung of the offer ladder."""

    mode: Literal["planned", "nearest", "board", "direct"] = Field(
        description="`planned`: a planner offers trips, each to one driver. `direct`: it assigns them. `nearest`: the "
        "nearest drivers get offers, `drivers` at once. `board`: all drivers of the zone see the order, and the first "
        "one wins; only the last rung may be one."
    )
    drivers: int = Field(1, ge=1, le=50, description="How many are asked at once.")
    offer_s: int = Field(20, ge=1, le=600, description="How long an offer lasts.")
    reach_m: int = Field(
        50_000, ge=1, le=1_000_000, description="Greatest distance between driver and pick-up."
    )
    times: int | None = Field(
        None,
        ge=1,
        le=100,
        description="After so many times the order goes on to the next rung. Null, for the last rung alone: it is "
        "repeated. With a number on the last rung nobody is asked after it: the order gets the event `unclaimed`.",
    )
    unplanned_s: int = Field(
        10,
        ge=0,
        le=3600,
        description="`planned` and `direct`: an order that no plan gives to anybody is offered as the next rung of "
        "mode `nearest` says after this time, until a plan does.",
    )


def _whole_ladder(rungs: list[LadderRung]) -> list[LadderRung]:
    for number, rung in enumerate(rungs, 1):
        last = number == len(rungs)
        if rung.times is None and not last:
            raise ValueError(f"rung {number} needs times: only the last one may be repeated for ever")
        if rung.mode == "board" and (rung.times is not None or not last):
            raise ValueError(f"rung {number}: a board is the last rung, and has no times")
        if rung.mode in ("planned", "direct") and rung.drivers > 1:
            raise ValueError(f"rung {number}: a plan asks one driver at once")
    return rungs


Ladder = Annotated[list[LadderRung], Field(min_length=1, max_length=RUNGS_MAX), AfterValidator(_whole_ladder)]


class Planning(Strict):
    """What the planner is told of a zone; it goes for modes `planned` and `direct`."""

    speed_m_per_s: float = Field(
        5.0, ge=0.5, le=2000, description="Mean speed of a driver between two stops, along the way."
    )
    speed_learned: bool = Field(
        True,
        description="The speed is learned from deliveries, by hour, and `speed_m_per_s` counts until there are enough. "
        "Absent beside a `speed_m_per_s`: false.",
    )
    street_factor: float = Field(
        1.3, ge=1, le=3, description="How much longer the way is than the straight line."
    )
    pickup_s: int = Field(120, ge=0, le=3600, description="Time at a store, without waiting for the goods.")
    dropoff_s: int = Field(120, ge=0, le=3600, description="Time at a door.")
    trip_orders_max: int = Field(3, ge=1, le=10, description="Greatest number of orders of a trip.")
    detour_max_s: int = Field(
        900, ge=0, le=7200, description="How much longer an order may be under way than alone."
    )
    rest_s: int = Field(
        60, ge=0, le=3600, description="A driver who declines a trip is planned for again after this time."
    )
    planned_offers: int = Field(
        3,
        ge=1,
        le=20,
        description="After so many offers without success the nearest drivers get offers, `wave_size` at once. It goes "
        "where `ladder` is null.",
    )
    site_radius_m: int = Field(
        0,
        ge=0,
        le=5000,
        description="Stores within this distance of each other are one site, such as a mall: their orders may share a "
        "trip. A site is as wide as that around its first store. 0: each store is a site of its own.",
    )
    pooling: bool = Field(
        False,
        description="For a mall to which drivers come back: trips are made by the choice of partners. An order waits "
        "for a partner as long as that is expected to save more driving than customers lose in time.",
    )
    pooling_wait_max_s: int = Field(
        300, ge=0, le=3600, description="How long an order that could leave waits for a partner at most."
    )
    travel_round_s: int = Field(
        0, ge=0, le=600, description="Travel times are rounded up to multiples of it; 0: they are not."
    )
    time_scale: float = Field(
        1.0, ge=1, le=1000, description="How many times as fast as real time the zone lives. For replays."
    )
    ladder: Ladder | None = Field(
        None,
        description="Who is asked for an order, one rung after the other, until somebody takes it. Null: "
        "`planned_offers` offers of the planner, then the nearest drivers, as `wave_size`, `offer_ttl_s` and "
        "`offer_distance_max_m` say. An order that waits for longer than `unassigned_after_s` is told of, on "
        "whichever rung it is.",
    )

    @model_validator(mode="before")
    @classmethod
    def _said_or_learned(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {"speed_learned": "speed_m_per_s" not in given, **given}


class DeliveryRules(Strict):
    """Rules of a zone's deliveries. An order keeps those of its placing."""

    dropoff_pin: bool = Field(
        False,
        description="The driver must say the customer's PIN to deliver, for all orders and not only where asked.",
    )
    cancellation_fee_minor: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="What a customer pays who cancels after a driver has accepted, in the currency of its order and no "
        "more than its total. Cancelling earlier costs nothing; after the pick-up it is not possible.",
    )
    offer_ahead_s: int = Field(
        1200,
        ge=0,
        le=86_400,
        description="An order that is wanted at a time is first offered so long before its goods are ready.",
    )


class NewZone(Strict):
    name: Name
    mode: Mode = "planned"
    wave_size: WaveSize = 3
    offer_ttl_s: OfferTtl = 20
    area: Area | None = None
    offer_distance_max_m: OfferDistance = 50_000
    release_pause_s: ReleasePause = 600
    give_up_after_s: GiveUpAfter | None = 3600
    driver_pay_minor: DriverPay | None = None
    unassigned_after_s: UnassignedAfter | None = 300
    planning: Planning | None = None
    delivery_rules: DeliveryRules | None = None
    queue_radius_m: QueueRadius | None = None


class ZoneChange(Patch):
    name: Name = absent()
    mode: Mode = absent()
    wave_size: WaveSize = absent()
    offer_ttl_s: OfferTtl = absent()
    area: Area | None = absent()
    offer_distance_max_m: OfferDistance = absent()
    release_pause_s: ReleasePause = absent()
    give_up_after_s: GiveUpAfter | None = absent()
    driver_pay_minor: DriverPay | None = absent()
    unassigned_after_s: UnassignedAfter | None = absent()
    planning: Planning | None = absent()
    delivery_rules: DeliveryRules | None = absent()
    queue_radius_m: QueueRadius | None = absent()


@operations.declare(
    "zones.create",
    "POST",
    "/api/v2/zones",
    scope="zones:write",
    limit=WRITES,
    summary="Create a zone",
    body=NewZone,
    body_example={"name": "North wing", "mode": "waves", "wave_size": 3, "offer_ttl_s": 20},
    answer=ZoneAnswer,
    status=201,
    etag="sent",
)
async def create(context: RequestContext) -> web.Response:
    b = await context.body(NewZone)
    row = await context.services.catalogue.add_zone(**b.model_dump())
    headers = {"Location": f"/api/v2/zones/zon_{row['id']}", "ETag": row_tag(row)}
    return json_response(serializers.zone(row), 201, headers)


@operations.declare(
    "zones.get",
    "GET",
    "/api/v2/zones/{id}",
    scope="zones:read",
    limit=READS,
    summary="A zone",
    answer=ZoneAnswer,
    etag="compared",
)
async def get(context: RequestContext) -> web.Response:
    row = await context.services.catalogue.zone(context.number(ids.ZONE))
    if row is None:
        raise Problem("not_found")
    return tagged(context, serializers.zone(row), row_tag(row), catalogue_policy(context))


@operations.declare(
    "zones.list",
    "GET",
    "/api/v2/zones",
    scope="zones:read",
    limit=READS,
    summary="Zones",
    query=Page,
    answer=ZonesAnswer,
    problems=LIST_PROBLEMS,
    etag="compared",
)
async def get_list(context: RequestContext) -> web.Response:
    return await list_page(
        context,
        context.services.catalogue.zones,
        context.query(Page),
        serializers.zone,
        catalogue_policy(context),
    )


@operations.declare(
    "zones.update",
    "PATCH",
    "/api/v2/zones/{id}",
    scope="zones:write",
    limit=WRITES,
    summary="Change a zone",
    body=ZoneChange,
    body_example={"mode": "open"},
    answer=ZoneAnswer,
    problems=WRITE_PROBLEMS,
    etag="sent",
)
async def update(context: RequestContext) -> web.Response:
    """Change a zone in the version that If-Match names; open orders follow within a second."""
    number, tags, b = context.number(ids.ZONE), wanted_tags(context), await context.body(ZoneChange)
    changes = b.given()
    if b.planning is not None:
        changes["planning"] = b.planning.model_dump()  # with what was left out
    if b.delivery_rules is not None:
        changes["delivery_rules"] = b.delivery_rules.model_dump()
    row = await context.services.catalogue.change_zone(number, tags, changes, context.carried)
    if row is None:
        there = await context.services.catalogue.zone(number)
        return missed(context, None if there is None else row_tag(there))
    return written(serializers.zone(row), row_tag(row))
