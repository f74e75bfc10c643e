"""Cursors: opaque, URL-safe, the id after which the next page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from api.fields import Digits, Strict
from api.problems import Fault, Problem
from dispatch.domain.ids import NUMBER_MAX

PAGE_MAX = 100
# The length that nearly everybody asks for by not naming one.
PAGE_USUAL = 50


class Page(Strict):
    """`limit` rows after `cursor`."""

    limit: Annotated[int, Digits, Field(ge=1, le=PAGE_MAX)] = PAGE_USUAL
    cursor: Annotated[str, StringConstraints(max_length=64)] | None = None

    @property
    def opening(self) -> bool:
        """True for the first page of the usual length, which is cached."""
        return self.cursor is None and self.limit == PAGE_USUAL

    def after(self, start: int) -> int:
        """The number behind the cursor, or `start`.

        Raises:
            Problem: the cursor is not one of ours.
        """
        if self.cursor is None:
            return start
        try:
            text = base64.urlsafe_b64decode(self.cursor.encode() + b"=" * (-len(self.cursor) % 4)).decode()
            kind, _, digits = text.partition(":")
            if kind == "after" and digits.isascii() and digits.isdigit() and int(digits) <= NUMBER_MAX:
                return int(digits)
        except (ValueError, binascii.Error):
            pass
        raise Problem("invalid", faults=[Fault("query", "cursor", "cursor", "not a cursor of this list")])


def page_of(rows: Sequence[Any], limit: int, show: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """A page of at most `limit`; one row more was asked for, to know whether there is another page."""
    shown = rows[:limit]
    following = None
    if len(rows) > limit:
        text = f"after:{shown[-1]['id']}"
        following = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    return {"items": [show(row) for row in shown], "next": following}
