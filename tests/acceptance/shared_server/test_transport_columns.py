"""Whatever the validators take, the real columns take: bodies at their edges, through the server into Postgres."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.contract.fields import DEGREES_MIN
from tests.acceptance.raw_http import Answer, RunningServer, refusal
from tests.acceptance.sample_mall import PRODUCT, STORE, ZONE

_alphabet = "aZ \u00e9\u0301\ufb2c\u0344\u0958\U0001f44d\U00010fff\u4e00'\"\\%_$;-\x00\u202e\ud800"


def texts(most: int) -> st.SearchStrategy[str]:
    """Texts of all lengths up to the limit and a little over, of letters that databases have had trouble with."""
    edge = st.sampled_from([1, most // 3, most - 1, most, most + 1])
    return (
        st.text(_alphabet, min_size=1, max_size=12)
        | st.text(st.characters(), min_size=1, max_size=8)
        | st.tuples(st.sampled_from("aé\U0001f44d\ufb2c\u0301"), edge).map(lambda pair: pair[0] * pair[1])
    )


def integers(least: int, most: int) -> st.SearchStrategy[int]:
    return st.sampled_from([least, least + 1, most - 1, most]) | st.integers(least - 1, most + 1)


def degrees(most: float) -> st.SearchStrategy[float]:
    odd = [-0.0, 5e-324, most, -most, 1 / 3, most - 1e-13]
    return st.sampled_from(odd) | st.floats(-most, most, allow_nan=False)


PLACE = {"lat": degrees(90.0), "lon": degrees(180.0)}
CORNERS = st.lists(st.fixed_dictionaries(PLACE), min_size=3, max_size=100)
LINE = st.fixed_dictionaries({"product_id": st.just(PRODUCT), "quantity": integers(1, 99)})
RUNG = st.fixed_dictionaries({
    "mode": st.just("nearest"), "drivers": integers(1, 50), "offer_s": integers(1, 600),
    "reach_m": integers(1, 1_000_000), "times": integers(1, 100), "unplanned_s": integers(0, 3600),
})  # fmt: skip
PLANNING = st.fixed_dictionaries({
    "speed_m_per_s": st.floats(0.5, 2000), "street_factor": st.floats(1, 3), "pickup_s": integers(0, 3600),
    "dropoff_s": integers(0, 3600), "trip_orders_max": integers(1, 10), "detour_max_s": integers(0, 7200),
    "rest_s": integers(0, 3600), "planned_offers": integers(1, 20), "travel_round_s": integers(0, 600),
    "site_radius_m": integers(0, 5000), "pooling": st.booleans(), "pooling_wait_max_s": integers(0, 3600),
    "time_scale": st.floats(1, 1000), "ladder": st.none() | st.lists(RUNG, min_size=1, max_size=8),
    "speed_learned": st.booleans(),
})  # fmt: skip
CURRENCIES = st.sampled_from(["EUR", "ZZZ", "eur", "E\u00dcR", "EURO"])
BODIES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "zones.create": st.fixed_dictionaries(
        {"name": texts(80)},
        optional={"mode": st.sampled_from(["planned", "waves", "open", "direct"]), "wave_size": integers(1, 50),
                  "offer_ttl_s": integers(1, 600), "area": CORNERS,
                  "offer_distance_max_m": integers(1, 1_000_000), "release_pause_s": integers(0, 86_400),
                  "give_up_after_s": integers(1, 604_800),
                  "driver_pay_minor": integers(0, 1_000_000_000), "unassigned_after_s": integers(1, 604_800),
                  "planning": st.none() | PLANNING, "queue_radius_m": integers(10, 10_000)},
    ),
    "stores.create": st.fixed_dictionaries(
        {"zone_id": st.just(ZONE), "name": texts(80), **PLACE},
        optional={"preparation_s": integers(0, 86_400), "preparation_learned": st.booleans()},
    ),
    "products.create": st.fixed_dictionaries(
        {"store_id": st.just(STORE), "name": texts(120),
         "price": st.fixed_dictionaries({"amount_minor": integers(0, 1_000_000_000), "currency": CURRENCIES})},
        optional={"stock": integers(0, 1_000_000_000), "low_stock": integers(0, 1_000_000_000)},
    ),
    "orders.create": st.fixed_dictionaries(
        {"items": st.tuples(LINE), "payment": st.sampled_from(["card", "cash"]),
         "dropoff": st.fixed_dictionaries({**PLACE, "address": texts(200)})},
        optional={"notes": texts(500)},
    ),
    "users.create": st.fixed_dictionaries(
        {"email": st.tuples(texts(64), texts(60)).map("@".join), "password": texts(128).map(lambda x: x + "12345678"),
         "name": texts(80), "role": st.just("driver"), "zone_id": st.just(ZONE)},
        optional={"capacity": integers(1, 20)},
    ),
}  # fmt: skip
# What else may be said to a body that is right in itself.
OTHERWISE = {(409, "out_of_stock"), (409, "email_taken")}
tried: Counter[str] = Counter()
taken: Counter[str] = Counter()


@pytest.mark.parametrize("name", BODIES)
# The same examples each time, or by chance too few of them are taken.
@settings(
    max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
async def test_what_is_taken_is_stored_as_it_was_meant(
    server: RunningServer, name: str, data: st.DataObject
) -> None:
    body = data.draw(BODIES[name])
    answer = await server.write(name, json.dumps(body).encode("utf-8", "surrogatepass"))
    tried[name] += 1
    if answer.status == 201:
        taken[name] += 1
        check_stored(body, answer)
        return
    said = (answer.status, answer.json["code"])
    assert said in {(400, "malformed_json"), (422, "invalid"), *OTHERWISE}, body
    refusal(answer, *said)


def test_enough_was_taken_for_that_to_mean_anything() -> None:
    assert {name: taken[name] for name in tried if taken[name] < 5} == {}


def _without_noise(value: Any) -> Any:
    """Degrees that are as good as none are none."""
    if isinstance(value, dict):
        return {name: _without_noise(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_noise(part) for part in value]
    return 0.0 if isinstance(value, float) and abs(value) < DEGREES_MIN else value


def check_stored(body: dict[str, Any], answer: Answer) -> None:
    """Texts as they were, composed and stripped; numbers exactly."""
    stored = answer.json
    for field in ("name", "notes"):
        if field in body:
            assert stored[field] == unicodedata.normalize("NFC", body[field]).strip()
    for field in (
        "lat",
        "lon",
        "preparation_s",
        "preparation_learned",
        "queue_radius_m",
        "stock",
        "low_stock",
        "wave_size",
        "offer_ttl_s",
        "offer_distance_max_m",
        "release_pause_s",
        "give_up_after_s",
        "driver_pay_minor",
        "unassigned_after_s",
        "planning",
        "mode",
        "capacity",
        "area",
        "price",
    ):
        if field in body:
            assert stored[field] == _without_noise(body[field]), field
    if "dropoff" in body:
        address = unicodedata.normalize("NFC", body["dropoff"]["address"]).strip()
        assert stored["dropoff"] == _without_noise(body["dropoff"]) | {"address": address}
