"""Pagination: pages of `limit` rows, each with the cursor of the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from aiohttp import web
from pydantic import BeforeValidator, Field, StringConstraints

from api.contract.cursors import TEXT_MAX, Purpose
from api.contract.fields import Strict, plain, text_schema
from api.http.conditional import PRIVATE, tagged_page
from api.http.request import RequestContext
from dispatch.ports import LoadPage
from storage.postgres.list_queries import After

PAGE_MAX = 100
# The default length, which nearly all requests use.
PAGE_USUAL = 50
# Refusals of a request for a page.
LIST_PROBLEMS = ("invalid_cursor",)

# Query parameters.
Truth = Annotated[bool, BeforeValidator({"true": True, "false": False}.get, json_schema_input_type=bool)]
Prefix = Annotated[str, StringConstraints(min_length=1, max_length=80), plain(1, 80), text_schema(1, 80)]


class Page(Strict):
    """Query of a list: `limit` rows after `cursor`."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_USUAL
    cursor: Annotated[str, StringConstraints(max_length=TEXT_MAX)] | None = None

    @property
    def order(self) -> str:
        """The sort of the list; subclasses that offer several have a field for it."""
        return "id"

    @property
    def opening(self) -> bool:
        """True for the first page with default length and sort, which every app loads when it opens."""
        return self.cursor is None and self.limit == PAGE_USUAL and self.order == "id"

    def filters(self) -> dict[str, Any]:
        """The given filters, by name."""
        return self.model_dump(exclude={"limit", "cursor", "sort"}, exclude_none=True)


async def list_page(
    context: RequestContext,
    load: LoadPage,
    page: Page,
    show: Callable[[Any], Mapping[str, Any]],
    policy: str = PRIVATE,
    **further: Any,
) -> web.Response:
    """Answer with one page of the list that `load` reads.

    `show` serializes a row for the caller; `further` are filters that do not come from the request, for example
    the owner of the rows.

    Raises:
        Problem: invalid_cursor.
    """
    filters = page.filters() | further
    cursors, purpose = (
        context.services.cursors,
        Purpose(context.request.path, context.who.number, page.order, filters),
    )
    after = None if page.cursor is None else cursors.open(purpose, page.cursor)
    # One row more, to know whether there is another page.
    rows = await load(filters, page.order, after, page.limit + 1)
    shown, following = rows[: page.limit], None
    if len(rows) > page.limit:
        following = cursors.seal(purpose, After(shown[-1]["sort_key"], shown[-1]["id"]))
    return tagged_page(context, {"items": [show(row) for row in shown], "next": following}, policy)
