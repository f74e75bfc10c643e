"""All files of the pages, read, compressed and tagged once, when the first application is made."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache

from aiohttp import web

from actors.values import frozen
from api.contract.problems import VERSION_HEADER
from api.docs.static_document import Document
from api.http.request import RequestContext
from api.pages.registry import INSTALLED, PAGES, PREFIX, VENDOR, WebPage, policy_of
from api.pages.sources import CONTENT_TYPES, page_text, read_source, sources

# A browser asks each time whether it has the present version: a page never mixes files of two releases.
_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-cache",
    "Vary": f"{VERSION_HEADER}, Accept-Encoding",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# These are compressed already.
_PACKED = (".woff2", ".png")
# The name of a page's service worker: only such a file may serve paths above its own.
WORKER = "service_worker.js"

_NOT_INSTALLED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Not installed</title><link rel="stylesheet" href="/docs/page.css"></head>
<body><main><h1>The pages are not installed</h1>
<p>This server runs, and its API is complete. What its pages are made with comes from npm, which was not there when it
was installed. With npm and a network, <code>make run</code> installs it; then start the server again.</p>
<p><a href="/">What else there is</a></p></main></body></html>
"""


class PageFile:
    """A file as it is sent: plain, or compressed where the client takes that and it is smaller."""

    def __init__(self, text: bytes, content_type: str, headers: Mapping[str, str], *, packed: bool) -> None:
        self.plain = Document(text, content_type, headers)
        squeezed = gzip.compress(text, 9, mtime=0)
        self.smaller: Document | None = None
        if not packed and len(squeezed) < len(text):
            self.smaller = Document(squeezed, content_type, {**headers, "Content-Encoding": "gzip"})

    def answer(self, context: RequestContext) -> web.Response:
        """Answer with the file, or with 304.

        Raises:
            Problem: `malformed_request`, for an invalid If-None-Match.
        """
        if self.smaller is not None and _takes_gzip(context.request.headers.get("Accept-Encoding", "")):
            return self.smaller.answer(context)
        return self.plain.answer(context)


def _takes_gzip(accepted: str) -> bool:
    for item in accepted.lower().split(","):
        name, _, quality = item.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


@frozen
class PageSet:
    """The pages by name, and all other files by path."""

    pages: Mapping[str, PageFile]
    files: Mapping[str, PageFile]
    installed: bool


@cache
def page_set() -> PageSet:
    """The files of this installation."""
    installed = all((INSTALLED / place).is_file() for _, place in VENDOR.values())
    read = {path: (place, read_source(place)) for path, place in sources()}
    files = {
        path: PageFile(text, CONTENT_TYPES[place.suffix], _headers_of(path), packed=place.suffix in _PACKED)
        for path, (place, text) in read.items()
    }
    modules = {path: text for path, (_, text) in read.items() if path.endswith(".js")}
    pages = {page.name: _page_file(page, modules, installed=installed or not page.packages) for page in PAGES}
    return PageSet(pages, files, installed)


def _page_file(page: WebPage, modules: Mapping[str, bytes], *, installed: bool) -> PageFile:
    text = page_text(page, modules) if installed else _NOT_INSTALLED.encode()
    headers = {**_HEADERS, "Content-Security-Policy": page.policy}
    return PageFile(text, CONTENT_TYPES[".html"], headers, packed=False)


def _headers_of(path: str) -> Mapping[str, str]:
    """Headers of a file. A worker has the policy of its own answer, and needs leave for its page's paths."""
    if not path.endswith(f"/{WORKER}"):
        return _HEADERS
    served = {f"{PREFIX}/{page.name}/": page.path for page in PAGES}
    allowed = next(there for folder, there in served.items() if path.startswith(folder))
    return {**_HEADERS, "Content-Security-Policy": policy_of(), "Service-Worker-Allowed": allowed}
