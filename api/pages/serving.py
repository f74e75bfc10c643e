"""Operations of the pages: the document of each page, and one for all other files."""

from __future__ import annotations

from aiohttp import web

from api.auth.permissions import PAGE_FILES
from api.contract.problems import Problem
from api.http.operation import Operation, Operations
from api.http.request import Handler, RequestContext
from api.pages.page_files import page_set
from api.pages.registry import PAGES, PREFIX, WebPage

operations = Operations(Operation)


def _serving(page: WebPage) -> Handler:
    async def document(context: RequestContext) -> web.Response:
        return page_set().pages[page.name].answer(context)

    return document


def _declare(operation: str, path: str, page: WebPage) -> None:
    operations.declare(
        operation,
        "GET",
        path,
        scope=None,
        limit=PAGE_FILES,
        own_query=True,  # its script reads it
        quiet=True,
        summary=page.summary,
        media="text/html",
    )(_serving(page))


for _page in PAGES:
    _declare(f"pages.{_page.name}", f"{_page.path}/{{rest}}", _page)
    _declare(f"pages.{_page.name}_itself", _page.path, _page)


@operations.declare(
    "pages.file",
    "GET",
    f"{PREFIX}/{{rest}}",
    scope=None,
    limit=PAGE_FILES,
    quiet=True,
    summary="A file of a page",
    media="text/javascript",
)
async def file(context: RequestContext) -> web.Response:
    """A script, a style, a font or a picture.

    Raises:
        Problem: not_found.
    """
    found = page_set().files.get(f"{PREFIX}/" + context.request.match_info["rest"])
    if found is None:
        raise Problem("not_found")
    return found.answer(context)
