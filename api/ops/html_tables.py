"""HTML pages of the ops port: tables in a frame, without script and without external resources.

Every text is escaped by `text`, whatever its source: a peer's text, or a job's error, may contain markup.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

from actors.values import frozen

# Short enough to watch a hand-over, long enough to read the page.
REFRESH_S = 5
_HERE = Path(__file__).parent
_FRAME = Template((_HERE / "page.html").read_text())
_STYLE = (_HERE / "page.css").read_text()
# The policy names the one style block by its digest, so the browser refuses any injected content.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@frozen
class Marked:
    """A value of a table with a class of page.css: bad, long or short."""

    value: object
    kind: str


def text(value: object) -> str:
    """A value as escaped HTML."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return escape(f"{value:.3f}")
    return escape(str(value))


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of values; numbers are right-aligned. Values are escaped."""
    lines = ["<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows]
    if not lines:
        return f"<h2>{text(title)}</h2><p>None.</p>\n"
    head = "".join(f"<th>{text(name)}</th>" for name in heads)
    return f'<h2>{text(title)}</h2><div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>\n'


def _cell(value: object) -> str:
    kinds = []
    if isinstance(value, Marked):
        kinds, value = [value.kind], value.value
    if isinstance(value, int | float):
        kinds.append("n")
    named = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<td{named}>{text(value)}</td>"


def page(title: str, summary: str, body: str, links: Mapping[str, str]) -> str:
    """A whole page. `summary` and `body` are HTML; `links` are other pages by path, with their names."""
    listed = " · ".join(f'<a href="{text(path)}">{text(name)}</a>' for path, name in links.items())
    return _FRAME.substitute(
        refresh_s=REFRESH_S, style=_STYLE, title=text(title), summary=summary, body=body, links=listed
    )
