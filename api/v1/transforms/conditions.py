"""Transform of conditional requests: version 1 has no ETag, If-Match or versions, so the last write wins."""

from __future__ import annotations

from typing import Any

from multidict import CIMultiDict

from api.v1.request_draft import Draft
from api.v1.transforms.tree import objects

_ASKED = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")


def forward(draft: Draft) -> None:
    """Drop conditional headers."""
    for name in _ASKED:
        draft.headers.popall(name, None)


def backward(answer: Any) -> None:
    """Drop versions, except in a history, where they are the numbers of entries."""
    for _, node in objects(answer):
        if node.keys() & {"id", "order_id"}:
            node.pop("version", None)
        node.pop("order_version", None)


def backward_headers(headers: CIMultiDict[str]) -> None:
    """Drop ETag headers."""
    for name in ("ETag", "Last-Modified", "Accept-Patch"):
        headers.popall(name, None)
