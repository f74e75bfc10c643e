"""What a handler hears of a body that fails while it waits for it."""

from __future__ import annotations


class SlowBody(Exception):
    """The body comes too slowly; the connection ends with the answer."""


class BrokenBody(Exception):
    """The framing of the body is wrong; the connection ends with the answer."""
