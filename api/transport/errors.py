"""What a handler hears of a body that fails while it waits for it."""

from __future__ import annotations


class SlowBody(Exception):
    """The body comes too slowly; the connection ends with the answer."""


class BrokenBody(Exception):
    """The framing of the body is wrong; the connection ends with the answer."""


class WastefulBody(Exception):
    """The framing of the body weighs more than a body may; the connection ends with the answer."""


def forget_frames(error: BaseException | None) -> None:
    """Part an error from the frames that it came through.

    aiohttp keeps the error that a body or a WebSocket ended with, the error its frames, and they the body: such a
    circle would stay, with all of its connection (10 KB and more), until everything is collected
    (`api/server/watchdogs.py`). In those five minutes a thousand slow sockets leave 100,000 of them.
    """
    ahead = [error]
    while ahead:
        if (one := ahead.pop()) is not None and one.__traceback__ is not None:
            one.__traceback__ = None
            ahead += [one.__cause__, one.__context__]
