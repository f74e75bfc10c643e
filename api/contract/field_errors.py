"""Error texts of fields that tell a client what to change; pydantic's own speak of arrays and models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from api.contract.problems import Fault

DETAIL_LENGTH_MAX = 200
# By type of pydantic's errors; the names in braces come from the error's context.
_SAYS: Mapping[str, str] = {
    "missing": "is needed",
    "extra_forbidden": "is not known here; leave it out",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number such as 50",
    "int_parsing": "must be a whole number such as 50",
    "int_from_float": "must be a whole number, without a fraction",
    "int_parsing_size": "must be a whole number below 2^53",
    "float_type": "must be a number such as 52.52",
    "float_parsing": "must be a number such as 52.52",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "string_type": "must be a text in quotation marks",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
    "string_pattern_mismatch": "must look like {pattern}",
    "literal_error": "must be one of {expected}",
    "too_short": "must hold {min_length} or more, and holds {actual_length}",
    "too_long": "must hold {max_length} or fewer, and holds more",
}
_LISTS = frozenset({"list_type", "tuple_type"})
_OBJECTS = frozenset({"model_type", "model_attributes_type", "dict_type"})
# The items of a list, by its field; a test finds fields that are missing here.
ITEMS: Mapping[str, str] = {
    "items": 'lines, each {"product_id": "prd_17", "quantity": 1}',
    "area": 'three to a hundred corners, each {"lat": 52.52, "lon": 13.405}',
    "ladder": 'one to eight rungs, each {"mode": "nearest", "drivers": 3, "offer_s": 20, "times": 2}',
    "orders": 'ids such as "ord_17"',
    "ids": 'ids such as "job_17"',
    "types": 'types of events such as "order.created"',
    "zone_ids": 'ids such as "zon_1"',
    "store_ids": 'ids such as "sto_1"',
    "choices": 'choices, each {"type": "assigned", "channel": "sms", "wanted": false}',
}


def faults_of(error: ValidationError, location: str) -> list[Fault]:
    """The faults of a refused input, from the errors of its model; they repeat nothing of the input."""
    faults = []
    for item in error.errors(include_url=False):
        path = [str(part) for part in item["loc"]]
        pointer = "#" + "".join("/" + p.replace("~", "~0").replace("/", "~1") for p in path)
        name = pointer if location == "body" else ".".join(path)
        faults.append(Fault(location, name[:200], item["type"], told(item)))
    return faults


def told(item: Any) -> str:
    """The text of one pydantic error."""
    kind, loc = item["type"], item["loc"]
    if item["input"] is None and kind not in ("missing", "value_error"):
        return "must not be null"[:DETAIL_LENGTH_MAX]
    if kind in _LISTS:
        what = ITEMS.get(str(loc[-1]) if loc else "")
        said = "must be a list in brackets" + (f" of {what}" if what else "")
    elif kind in _OBJECTS:
        said = "must be an object in braces"
    elif kind in _SAYS:
        said = _SAYS[kind].format_map(item.get("ctx", {}))
    else:
        said = str(item["msg"]).removeprefix("Value error, ").replace("Input should", "must")
    if kind in ("too_short", "too_long") and loc and str(loc[-1]) in ITEMS:
        said += f": {ITEMS[str(loc[-1])]}"
    return said[:DETAIL_LENGTH_MAX]
