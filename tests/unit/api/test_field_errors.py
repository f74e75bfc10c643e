"""What is wrong with a field is said in words that lead on."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, Field

from api.contract.field_errors import ITEMS
from api.contract.fields import DriverId, Name, Notes, Strict
from api.contract.json_body import parse_body, parse_value
from api.contract.problems import Problem
from api.feed.frames import FRAMES
from api.rest.order_creation import OrderBody
from api.rest.zones import NewZone
from api.routes import ROUTES


class Everything(Strict):
    """A field of each kind."""

    name: Name | None = None
    count: Annotated[int, Field(ge=1, le=9)] = 1
    degrees: float = 0.0
    on: bool = False
    kind: Literal["card", "cash"] = "cash"
    driver_id: DriverId | None = None
    notes: Notes = "x"


SAID = {
    '{"name": 5}': "must be a text in quotation marks",
    '{"name": ""}': "must have 1 characters or more",
    '{"count": "5"}': "must be a whole number such as 50",
    '{"count": 0}': "must be 1 or more",
    '{"count": 10}': "must be 9 or less",
    '{"count": null}': "must not be null",
    '{"degrees": "x"}': "must be a number such as 52.52",
    '{"on": 1}': "must be true or false",
    '{"kind": "gold"}': "must be one of \'card\' or \'cash\'",
    '{"driver_id": "usr_1"}': "must be an id such as drv_17",
    '{"notes": "a\\u202eb"}': "must not hold an invisible character (U+202E), as character 2",
    '{"surprise": 1}': "is not known here; leave it out",
    "[]": "must be an object in braces",
}  # fmt: skip


@pytest.mark.parametrize(("body", "said"), SAID.items(), ids=SAID)
def test_a_fault_says_what_would_be_right(body: str, said: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_body(Everything, body.encode())
    assert [fault.detail for fault in caught.value.faults] == [said]


AREAS = {
    '{"name": "Z", "area": {"type": "Polygon"}}': "must be a list in brackets of three to a hundred corners",
    '{"name": "Z", "area": [{"lat": 0, "lon": 0}]}': "must hold 3 or more, and holds 1: three to a hundred corners",
    '{"name": "Z", "area": [[0, 1], [0, 1], [0, 1]]}': "must be an object in braces",
}  # fmt: skip


@pytest.mark.parametrize(("body", "said"), AREAS.items(), ids=AREAS)
def test_an_area_that_is_none_says_what_an_area_is(body: str, said: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_body(NewZone, body.encode())
    assert caught.value.faults[0].detail.startswith(said)


def test_lines_that_are_none_say_what_lines_are() -> None:
    with pytest.raises(Problem) as caught:
        parse_body(OrderBody, b'{"items": "prd_1", "payment": "cash"}')
    said = {fault.pointer: fault.detail for fault in caught.value.faults}
    assert (
        said["#/items"] == 'must be a list in brackets of lines, each {"product_id": "prd_17", "quantity": 1}'
    )
    assert said["#/dropoff"] == "is needed"


def test_a_fault_in_a_query_says_it_as_well() -> None:
    with pytest.raises(Problem) as caught:
        parse_value(Everything, {"count": "ten"}, "query")
    assert caught.value.faults[0].detail == "must be a whole number such as 50"


def lists_of(model: type[BaseModel]) -> set[str]:
    """The fields of a model, and of those in it, that are lists."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        pending: list[Any] = [field.annotation]
        while pending:
            kind = pending.pop()
            found |= {name} if get_origin(kind) in (list, tuple) and name != "near" else set()
            pending += get_args(kind)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= lists_of(kind)
    return found


def test_every_list_that_a_client_sends_is_explained() -> None:
    rows = list(ROUTES)
    bodies = [model for row in rows if (model := row.body)] + list(FRAMES.values())
    assert set().union(*(lists_of(model) for model in bodies)) == ITEMS.keys()
