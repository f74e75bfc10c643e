"""Errors that a handler gets from a request body that fails while it reads."""

from __future__ import annotations


class SlowBody(Exception):
    """The body comes too slowly; the connection closes after the answer."""


class BrokenBody(Exception):
    """The framing of the body is wrong; the connection closes after the answer."""


class WastefulBody(Exception):
    """The framing of the body takes more bytes than allowed; the connection closes after the answer."""


def forget_frames(error: BaseException | None) -> None:
    """Detach an error from its traceback frames.

    aiohttp keeps the error that a body or a WebSocket ended with, the error keeps its frames, and they keep the body:
    this cycle would hold the whole connection (10 KB and more) until the next full collection
    (`api/server/watchdogs.py`). In those five minutes a thousand slow sockets leave 100,000 of them.
    """
    ahead = [error]
    while ahead:
        if (one := ahead.pop()) is not None and one.__traceback__ is not None:
            one.__traceback__ = None
            ahead += [one.__cause__, one.__context__]
