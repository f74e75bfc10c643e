"""Choice of the content type by the Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations


def prefers(accept: str, wanted: str) -> bool:
    """True when the Accept header prefers this media type to JSON. A tie means JSON."""
    return _rank(accept, wanted) > _rank(accept, "application/json")


def _rank(accept: str, wanted: str) -> tuple[float, int]:
    """Quality of a media type, and precision of its range; the most precise range counts."""
    ranges = {wanted: 2, wanted.partition("/")[0] + "/*": 1, "*/*": 0}
    best = (0.0, -1)
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name in ranges and ranges[name] > best[1]:
            best = (_quality(parameters), ranges[name])
    return best if best[0] > 0 else (0.0, -1)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def prefers_html(accept: str) -> bool:
    """True when the Accept header prefers HTML to JSON, as a browser's does. A tie means JSON."""
    return prefers(accept, "text/html")
