"""Pages: `limit` rows at a time, each with the cursor of the next one."""

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
# The length that nearly everybody asks for by not naming one.
PAGE_USUAL = 50
# Refusals of a page.
LIST_PROBLEMS = ("invalid_cursor",)

# Query parameters.
Truth = Annotated[bool, BeforeValidator({"true": True, "false": False}.get, json_schema_input_type=bool)]
Prefix = Annotated[str, StringConstraints(min_length=1, max_length=80), plain(1, 80), text_schema(1, 80)]


class Page(Strict):
    """`limit` rows after `cursor`."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_USUAL
    cursor: Annotated[str, StringConstraints(max_length=TEXT_MAX)] | None = None

    @property
    def order(self) -> str:
        """The sort of the list; subclasses that offer several have a field for it."""
        return "id"

    @property
    def opening(self) -> bool:
        """True for the first page of the usual length and sort, with which shops open."""
        return self.cursor is None and self.limit == PAGE_USUAL and self.order == "id"

    def filters(self) -> dict[str, Any]:
        """The filters that were given, by name."""
        return self.model_dump(exclude={"limit", "cursor", "sort"}, exclude_none=True)


async def list_page(
    context: RequestContext,
    load: LoadPage,
    page: Page,
    show: Callable[[Any], Mapping[str, Any]],
    policy: str = PRIVATE,
    **further: Any,
) -> web.Response:
    """A page of the list that `load` reads.

    `show` makes of a row what the caller sees; `further` are filters that the request has not given, such as
    whose rows they are.

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
