"""Sampling: decides when a request comes in whether its trace is recorded.

Its last 32 bits are compared with a threshold, so a share of all traces is recorded whole, and the decision for an id
is the same everywhere. A proxy of ours may decide for itself, by the flag of its traceparent.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors.tracing import Span, SpanKind, SpanService, Tracer
from api.ratelimit.client_address import Network, read_address

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
# Digits of a trace id that decide, and how many values they have.
_DIGITS, _VALUES = 8, 2**32
# Spans a second of failures whose traces are not recorded. An outage fails many requests, when there is least time.
LATE_MAX = 100


class Traceparent(NamedTuple):
    """A valid traceparent of a request."""

    trace: str
    span: str
    sampled: bool


def read_traceparent(header: str | None) -> Traceparent | None:
    """Parse a traceparent of version 00. None for any other text, and for ids that are only zeros."""
    if header is None:
        return None
    found = _TRACEPARENT.fullmatch(header)
    if found is None or set(found[1]) == {"0"} or set(found[2]) == {"0"}:
        return None
    return Traceparent(found[1], found[2], bool(int(found[3], 16) & 1))


def threshold_of(share: float) -> int:
    """The threshold for a share of all traces, 0 to 1."""
    return round(share * _VALUES)


class Sampling:
    """Begins the first span of each trace that is recorded.

    Args:
        share: of the traces that are recorded, 0 to 1.
        proxies: networks of our own proxies. Only they are believed what is recorded, and which span is the parent.
        fresh: makes a trace id.
    """

    def __init__(
        self, tracer: Tracer, share: float, proxies: Sequence[Network], fresh: Callable[[], str]
    ) -> None:
        self._tracer = tracer
        self._threshold = threshold_of(share)
        self._proxies = tuple(proxies)
        self._fresh = fresh
        self._late_since_s = self._late = 0.0

    def covers(self, trace: str) -> bool:
        """True if the id alone says that this trace is recorded."""
        return int(trace[-_DIGITS:], 16) < self._threshold

    def begin(self, trace: str, given: Traceparent | None, peer: str | None, name: str) -> Span | None:
        """Begin the span of a request or command. None: its trace is not recorded.

        `given` is the traceparent that the id comes from, None if the id is new; `peer` is the address at the other end
        of the connection.
        """
        if given is None:
            if int(trace[-_DIGITS:], 16) >= self._threshold:
                return None
        elif self._is_trusted(peer):
            if not given.sampled and not self.covers(trace):
                return None
        elif not self.covers(self._fresh()):
            # Strangers choose their ids, and could choose to be recorded. So another id decides for theirs.
            return None
        return self._tracer.begin(SpanService.EDGE, name, self._context(trace, given, peer), SpanKind.SERVER)

    def late(
        self, trace: str, given: Traceparent | None, peer: str | None, name: str, took_s: float
    ) -> Span | None:
        """The span of a request whose trace is not recorded, after it has failed or taken long; None above LATE_MAX."""
        now_s = time.perf_counter()
        if now_s - self._late_since_s >= 1.0:
            self._late_since_s, self._late = now_s, 0
        self._late += 1
        if self._late > LATE_MAX:
            return None
        began_ns = time.time_ns() - round(took_s * 1e9)
        context = self._context(trace, given, peer)
        return self._tracer.begin(SpanService.EDGE, name, context, SpanKind.SERVER, began_ns=began_ns)

    def _context(self, trace: str, given: Traceparent | None, peer: str | None) -> str:
        return f"{trace}-{given.span}" if given is not None and self._is_trusted(peer) else trace

    def _is_trusted(self, peer: str | None) -> bool:
        address = read_address(peer or "")
        return address is not None and any(address in network for network in self._proxies)
