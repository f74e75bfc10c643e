"""Pieces of queries. Each has a finite value without traffic, too: 0 where there is nothing to measure.

A quantile or a mean of nothing is no number to Prometheus, and a panel would be empty or red. `x >= 0` is false for it.
"""

from __future__ import annotations

WINDOW = "$__rate_interval"


def with_label(selector: str, matcher: str) -> str:
    """The selector with one more matcher."""
    name, brace, rest = selector.partition("{")
    return f"{name}{{{matcher},{rest}" if brace else f"{name}{{{matcher}}}"


def here(selector: str) -> str:
    """The selector, for the instances that the reader has chosen."""
    return with_label(selector, 'instance=~"$instance"')


def at_rest(query: str, by: str = "") -> str:
    """The query, or 0 when it has no value. The 0 of a query by label bears the label's value `none`."""
    if not by:
        return f"({query}) or vector(0)"
    return f'({query}) or on () label_replace(vector(0), "{by.partition(",")[0]}", "none", "", "")'


def latest(function: str, selector: str, by: str = "") -> str:
    """Aggregate of a gauge over processes: sum, max or min."""
    return at_rest(f"{function}{_grouped(by)}({selector})", by)


def per_second(selector: str, by: str = "", window: str = WINDOW) -> str:
    """Events in a second, of all processes."""
    return at_rest(f"sum{_grouped(by)}(rate({selector}[{window}]))", by)


def events(selector: str, window: str, by: str = "") -> str:
    """Number of events within a time, of all processes."""
    return at_rest(f"sum{_grouped(by)}(increase({selector}[{window}]))", by)


def quantile(share: float, histogram: str, by: str = "", window: str = WINDOW) -> str:
    """Quantile of a histogram, of all processes."""
    grouping = f"{by}, le" if by else "le"
    rates = f"sum by ({grouping}) (rate({_part(histogram, '_bucket')}[{window}]))"
    return at_rest(f"histogram_quantile({share:g}, {rates}) >= 0", by)


def mean(histogram: str, by: str = "", window: str = WINDOW) -> str:
    """Mean of a histogram, of all processes."""
    total, count = (
        f"sum{_grouped(by)}(increase({_part(histogram, end)}[{window}]))" for end in ("_sum", "_count")
    )
    return at_rest(f"{total} / ({count} > 0)", by)


def ratio(part: str, whole: str, by: str = "", window: str = WINDOW) -> str:
    """Which share of some events others are."""
    rates = [f"sum{_grouped(by)}(rate({selector}[{window}]))" for selector in (part, whole)]
    return at_rest(f"{rates[0]} / ({rates[1]} > 0)", by)


def slow_share(histogram: str, limit_s: str, by: str = "", window: str = WINDOW) -> str:
    """Which share of a histogram is above one of its bounds."""
    fast = with_label(_part(histogram, "_bucket"), f'le="{limit_s}"')
    fast, count = (
        f"sum{_grouped(by)}(rate({selector}[{window}]))" for selector in (fast, _part(histogram, "_count"))
    )
    return at_rest(f"1 - {fast} / ({count} > 0)", by)


def largest(count: int, query: str) -> str:
    """The largest series of a query."""
    return f"topk({count}, {query})"


def _grouped(by: str) -> str:
    return f" by ({by}) " if by else ""


def _part(selector: str, end: str) -> str:
    """A series of a histogram: `end` goes behind the name, before the labels."""
    name, brace, rest = selector.partition("{")
    return f"{name}{end}{brace}{rest}"
