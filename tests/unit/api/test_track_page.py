"""The page of a share link: small, complete in both languages, and there without any package."""

from __future__ import annotations

import gzip
import re

import pytest

from api.pages.registry import PAGES, ROOM
from api.pages.sources import modules_of, page_text, sources

PAGE = next(page for page in PAGES if page.name == "track")
SIZE_MAX_BYTES = 25_000
TEXTS = {path: place.read_bytes() for path, place in sources()}
MODULES = {path: text for path, text in TEXTS.items() if path.endswith(".js")}
DOCUMENT = page_text(PAGE, MODULES).decode()


def loaded() -> set[str]:
    """Paths of everything that the page loads, with the words of one language."""
    [entry] = re.findall(r'<script type="module" src="([^"]+)"', DOCUMENT)
    named = re.findall(r'(?:src|href)="(/pages/[^"]+)"', DOCUMENT)
    return {*named, *modules_of(entry, MODULES), "/pages/track/words/de.js", "/pages/design/icon.svg"}


def test_all_of_the_page_is_small() -> None:
    texts = [DOCUMENT.encode(), *(TEXTS[path] for path in loaded())]
    assert sum(len(gzip.compress(text, 9)) for text in texts) <= SIZE_MAX_BYTES


def test_page_needs_no_package_and_no_font() -> None:
    assert [path for path in loaded() if "/vendor/" in path] == []
    assert not PAGE.packages
    style = TEXTS["/pages/track/track.css"].decode()
    assert re.search(r"--font: system-ui", style), (
        "the font of the other pages is twice as large as this page"
    )


def words_of(language: str) -> dict[str, str]:
    text = (ROOM / "track" / "words" / f"{language}.js").read_text()
    return dict(re.findall(r'^  "([\w.]+)": (.+),$', text, re.MULTILINE))


def test_both_languages_have_the_same_words_with_the_same_values() -> None:
    english, german = words_of("en"), words_of("de")
    assert english.keys() == german.keys()
    for name, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", german[name])), name


@pytest.mark.parametrize("file", ["track.js", "live.js", "view.js", "map.js", "words.js"])
def test_text_never_becomes_markup(file: str) -> None:
    text = (ROOM / "track" / file).read_text()
    assert re.search(r"innerHTML|insertAdjacent|document\.write|\beval\b", text) is None
