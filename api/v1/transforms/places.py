"""Transform of places: version 1 has `lng`, version 2 `lon`; a resource of version 1 has its place in `location`."""

from __future__ import annotations

from typing import Any

from api.v1.request_draft import Draft, refuse_body
from api.v1.transforms.tree import objects, pointer

# Operations whose body is a resource with a place.
_PLACED = frozenset({"stores.create", "stores.update"})


def forward(draft: Draft) -> None:
    """Unpack `location`, and rename `lng` to `lon`.

    Raises:
        Problem: the place has version 2's names, or `location` contains none.
    """
    body = draft.body
    if body is None:
        return
    refuse_body(
        (pointer((*path, "lon")), "extra_forbidden", "must be lng")
        for path, node in objects(body)
        if "lon" in node
    )
    if draft.operation in _PLACED:
        refuse_body(
            (f"#/{name}", "extra_forbidden", "belongs into location")
            for name in ("lat", "lng")
            if name in body
        )
        _open_location(body)
    for _, node in objects(body):
        if "lng" in node:
            node["lon"] = node.pop("lng")


def _open_location(body: dict[str, Any]) -> None:
    if "location" not in body:
        return
    location = body.pop("location")
    if not isinstance(location, dict):
        refuse_body([("#/location", "object", "must be an object with lat and lng")])
    refuse_body(
        (pointer(("location", name)), "extra_forbidden", "not known")
        for name in location.keys() - {"lat", "lng"}
    )
    refuse_body(
        (f"#/location/{name}", "missing", "needed") for name in ("lat", "lng") if name not in location
    )
    body |= location


def backward(answer: Any) -> None:
    """Rename `lon` to `lng`; in an object with an id, put both into `location`."""
    for _, node in objects(answer):
        if "lat" in node and "lon" in node:
            if "id" in node:
                node["location"] = {"lat": node.pop("lat"), "lng": node.pop("lon")}
            else:
                node["lng"] = node.pop("lon")


def field(operation: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """The field of version 1 for a refused field of version 2."""
    path = tuple("lng" if part == "lon" else part for part in path)
    if operation in _PLACED and path in (("lat",), ("lng",)):
        return ("location", *path)
    return path
