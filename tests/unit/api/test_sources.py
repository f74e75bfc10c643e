"""Imports by name become paths, and a page lists all the modules that it needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.pages.registry import PAGES, ROOM, WebPage, policy_of
from api.pages.sources import MODULES_PLACE, modules_of, page_text, read_source, sources, with_paths

PATHS = [path for path, _ in sources()]


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ('import { h } from "preact";', 'import { h } from "/pages/vendor/preact.js";'),
        ('import{useRef as e}from"preact/hooks";', 'import{useRef as e}from"/pages/vendor/hooks.js";'),
        ('import "@preact/signals";', 'import "/pages/vendor/signals.js";'),
        (
            "export { signal } from '@preact/signals-core';",
            "export { signal } from '/pages/vendor/signals-core.js';",
        ),
        ('import { t } from "./words.js";', 'import { t } from "./words.js";'),
        (
            "const { words } = await import(`${folder}/de.js`);",
            "const { words } = await import(`${folder}/de.js`);",
        ),
        ('const COLUMNS = ["from", "to"];', 'const COLUMNS = ["from", "to"];'),
        ('if (q.get("from")) q.set("from", 1);', 'if (q.get("from")) q.set("from", 1);'),
        ("let a;\n//# sourceMappingURL=preact.js.map", "let a;\n"),
    ],
)
def test_names_of_packages_become_paths(said: str, sent: str) -> None:
    assert with_paths(said) == sent


def test_comments_are_not_sent_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    place = tmp_path / "app.js"
    place.write_text('// What it is.\nconst far = "https://x"; // why\n  // more\nlet a;\n')
    assert read_source(place).decode() == '\nconst far = "https://x"; // why\n\nlet a;\n'


def test_package_that_the_registry_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="lodash"):
        with_paths('import { chunk } from "lodash";')


def test_modules_are_found_through_others_and_each_once() -> None:
    modules = {
        "/pages/a/app.js": b'import "./one.js"; import "../b/two.js";',
        "/pages/a/one.js": b'import "/pages/vendor/preact.js"; import "./app.js";',
        "/pages/b/two.js": b'import "../a/one.js"; import("./later.js");',
        "/pages/vendor/preact.js": b"",
    }
    assert modules_of("/pages/a/app.js", modules) == [
        "/pages/a/app.js", "/pages/a/one.js", "/pages/b/two.js", "/pages/vendor/preact.js",
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_has_a_document_with_a_place_for_its_modules_and_nothing_inline(page: WebPage) -> None:
    text = (ROOM / page.name / "index.html").read_text()
    assert MODULES_PLACE in text
    assert re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text) is None
    assert "//" not in re.sub(r"<!--.*?-->", "", text), "nothing from elsewhere"
    shown = page_text(page, {}).decode()
    linked = re.findall(r'(?:src|href)="(/pages/[^"]+)"', shown)
    assert [path for path in linked if path not in PATHS and "/vendor/" not in path] == []


def test_files_of_the_room_itself_are_not_served() -> None:
    assert [path for path in PATHS if re.search(r"package|\.py|\.md|node_modules|index\.html", path)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_policy_of_a_page_allows_nothing_inline_and_nothing_from_elsewhere(page: WebPage) -> None:
    assert "unsafe" not in page.policy
    assert "http" not in page.policy
    assert {"default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'"} <= set(
        page.policy.split("; ")
    )


def test_worker_of_a_page_may_have_one_policy_of_trusted_types() -> None:
    assert "trusted-types mall-worker;" in policy_of("mall-worker")


def test_both_languages_have_the_same_words() -> None:
    for folder in sorted(ROOM.glob("*/words")):
        words = {
            place.stem: set(re.findall(r'^\s+"([^"]+)":', place.read_text(), re.MULTILINE))
            for place in folder.glob("*.js")
        }
        assert words.keys() == {"en", "de"}
        assert words["en"] == words["de"], folder


def test_words_that_modules_ask_for_are_there() -> None:
    for folder in sorted(ROOM.glob("*/words")):
        there = set(re.findall(r'^\s+"([^"]+)":', (folder / "en.js").read_text(), re.MULTILINE))
        for module in sorted(folder.parent.rglob("*.js")):
            asked = set(re.findall(r'\bt\("([^"]+)"', module.read_text()))
            assert asked <= there, module
