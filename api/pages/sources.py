"""Sources of the pages as browsers get them.

Modules import packages by their names, as every tool expects it. Browsers know no names, and an import map would be an
inline script, which the policy forbids: so names become paths when a file is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from api.pages.registry import INSTALLED, PAGES, PREFIX, ROOM, SHARED, VENDOR, WebPage

CONTENT_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".json": "application/json",
}
# Where a page has its modules listed, so that the browser asks for all of them at once.
MODULES_PLACE = "<!-- modules -->"
_IMPORT = re.compile(r"""((?:\bfrom|\bimport)\s*)(["'])([@\w./-]+)\2""")
# Lines of comments alone; their breaks stay, so that browsers name the lines of the source.
_COMMENT = re.compile(r"^[ \t]*//.*$", re.MULTILINE)
_MAP_COMMENT = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)
_ENTRY = re.compile(r'<script type="module" src="([^"]+)">')


def with_paths(text: str) -> str:
    """The module with the names of packages replaced by their paths.

    Raises:
        ValueError: it imports a package that the registry does not know.
    """

    def replaced(found: re.Match[str]) -> str:
        said, quote, name = found.groups()
        if name.startswith((".", "/")):
            return found[0]
        if name not in VENDOR:
            raise ValueError(f"the registry does not know the package {name}")
        return f"{said}{quote}{PREFIX}/vendor/{VENDOR[name][0]}{quote}"

    return _IMPORT.sub(replaced, _MAP_COMMENT.sub("", text))


def sources() -> Iterator[tuple[str, Path]]:
    """Path below the prefix and place of every file that is served. What is not installed is left out."""
    for folder in (*SHARED, *(page.name for page in PAGES)):
        for place in sorted((ROOM / folder).rglob("*")):
            if place.suffix in CONTENT_TYPES and place.name != "index.html":
                yield f"{PREFIX}/{place.relative_to(ROOM).as_posix()}", place
    for name, installed in VENDOR.values():
        if (INSTALLED / installed).is_file():
            yield f"{PREFIX}/vendor/{name}", INSTALLED / installed


def read_source(place: Path) -> bytes:
    """A file as it is sent. Comments of our own modules stay here: phones pay for each byte."""
    if place.suffix != ".js":
        return place.read_bytes()
    text = place.read_text()
    return with_paths(text if INSTALLED in place.parents else _COMMENT.sub("", text)).encode()


def page_text(page: WebPage, modules: Mapping[str, bytes]) -> bytes:
    """The page's document, with every module that its entry needs listed."""
    text = (ROOM / page.name / "index.html").read_text()
    entry = _ENTRY.search(text)
    needed = [] if entry is None else modules_of(entry[1], modules)
    listed = "\n".join(f'<link rel="modulepreload" href="{path}">' for path in needed)
    return text.replace(MODULES_PLACE, listed).encode()


def modules_of(entry: str, modules: Mapping[str, bytes]) -> list[str]:
    """The entry and all that it imports, also by others, in the order in which they are found."""
    found = [entry]
    for path in found:
        for _, _, name in _IMPORT.findall(modules.get(path, b"").decode()):
            there = _resolved(path, name)
            if there in modules and there not in found:
                found.append(there)
    return found


def _resolved(module: str, name: str) -> str:
    """Path of an import in a module."""
    if name.startswith("/"):
        return name
    parts: list[str] = []
    for part in (PurePosixPath(module).parent / name).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return str(PurePosixPath(*parts))
