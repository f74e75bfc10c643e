"""Files of the pages: compressed for who takes that, tagged, and checked again each time."""

from __future__ import annotations

import gzip
import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from api.http.request import RequestContext
from api.pages import page_files
from api.pages.page_files import PageFile, page_set
from api.pages.registry import INSTALLED, PAGES

TEXT = b"export const many = 1;\n" * 100
# Compressed, of everything that the console loads.
JS_BYTES_MAX = 70_000
# The same of a driver's shift.
DRIVE_JS_BYTES_MAX = 40_000
SCRIPTS = ("console", "client", "vendor")
HEADERS = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}


def asked(**headers: str) -> RequestContext:
    request = make_mocked_request("GET", "/", headers={n.replace("_", "-"): v for n, v in headers.items()})
    return cast(RequestContext, type("Asked", (), {"request": request})())


def file() -> PageFile:
    return PageFile(TEXT, "text/javascript; charset=utf-8", HEADERS, packed=False)


def body_of(answer: web.Response) -> bytes:
    return b"".join(cast(Any, answer.body)._value.pieces)


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "deflate, GZIP"])
def test_client_that_takes_gzip_gets_it(accepted: str) -> None:
    answer = file().answer(asked(Accept_Encoding=accepted))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body_of(answer)) == TEXT


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "identity"])
def test_client_that_does_not_gets_the_file_as_it_is(accepted: str) -> None:
    answer = file().answer(asked(Accept_Encoding=accepted))
    assert "Content-Encoding" not in answer.headers
    assert body_of(answer) == TEXT


def test_both_forms_have_tags_of_their_own_and_known_ones_are_not_sent_again() -> None:
    plain, smaller = file().answer(asked()), file().answer(asked(Accept_Encoding="gzip"))
    assert plain.headers["ETag"] != smaller.headers["ETag"]
    again = file().answer(asked(Accept_Encoding="gzip", If_None_Match=smaller.headers["ETag"]))
    assert (again.status, again.headers["Cache-Control"]) == (304, "no-cache")


def test_what_is_compressed_already_is_not_compressed_again() -> None:
    packed = PageFile(TEXT, "font/woff2", HEADERS, packed=True)
    assert "Content-Encoding" not in packed.answer(asked(Accept_Encoding="gzip")).headers


def test_wheel_takes_every_page_along() -> None:
    packaging = ConfigParser()
    packaging.read(Path(__file__).resolve().parents[3] / "setup.cfg")
    taken = packaging["options.package_data"]["api.pages"].split()
    assert [page.name for page in PAGES if f"{page.name}/**/*" not in taken] == []


def test_scripts_of_the_console_stay_within_their_budget() -> None:
    """All modules, with one language; a page that grows beyond it asks for a reason, not for a greater number."""
    found = page_set().files
    parts = [name for name in found if name.endswith(".js") and name.split("/")[2] in SCRIPTS]
    sizes = [
        (found[name].smaller or found[name].plain).size_bytes for name in parts if "/words/de" not in name
    ]
    assert len(sizes) > 20
    assert sum(sizes) <= JS_BYTES_MAX


def test_scripts_of_a_drivers_shift_are_small() -> None:
    found = page_set()
    if not found.installed:
        pytest.skip("the pages are not installed")
    text = body_of(found.pages["drive"].answer(asked())).decode()
    named = {*re.findall(r'(?:href|src)="(/pages/[^"]+\.js)"', text), "/pages/drive/words/de.js"}
    sent = [found.files[path].answer(asked(Accept_Encoding="gzip")) for path in named]
    assert "/pages/drive/malldrive.js" in named
    assert sum(len(body_of(answer)) for answer in sent) <= DRIVE_JS_BYTES_MAX


def test_server_without_what_npm_installs_says_so_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_files, "INSTALLED", INSTALLED / "nowhere")
    found = page_set.__wrapped__()
    assert not found.installed
    for page in PAGES:
        text = body_of(found.pages[page.name].answer(asked())).decode()
        assert ("not installed" in text) == page.packages
        assert ("/pages/" not in text) == page.packages
