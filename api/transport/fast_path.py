"""Fast path: requests that are answered in the parser's callback, without a task and in one write.

aiohttp wakes a task for a connection's next request, makes another one for its handler, and writes head and body
through a writer that could also stream. For a command on an order, whose body came with its head and whose answer is
a few lines, that is a quarter of the server's work. The fast path runs the same handler coroutine; the connection's
callback steps it, and then the callbacks of the futures that it waits for (taskless.py).

A handler without a task may wait for futures, but must not use `asyncio.timeout` and the like. So the fast path takes
only routes that are `prompt` (all that they wait for has a deadline of its own) and whose limit is counted in memory.
A request with any unusual part (a body that is still on its way, `Expect`, an upgrade, pipelining, a slow reader)
takes aiohttp's way, which handles everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aiohttp import HttpVersion11, hdrs, web

if TYPE_CHECKING:  # the stock server has these routes, too, and must not import the internals
    from api.transport.aiohttp_internals import RawRequestMessage

# The characters of public ids; aiohttp's router handles everything else, for example an escape.
_ID = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)
_SLOT = "/{id}/"

Handler = Callable[[web.Request], Coroutine[Any, None, web.StreamResponse]]


class Match(dict[str, str]):
    """A route match with what handlers use of it: the parts of the path, and the route."""

    __slots__ = ("current_app", "handler")

    def __init__(self, number: str, app: web.Application, handler: Handler) -> None:
        super().__init__(id=number)
        self.current_app = app
        self.handler = handler


class FastPath:
    """Table of the prompt routes of one application."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._routes: dict[tuple[str, str], tuple[str, Handler]] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Add a route whose path ends in an id and a verb.

        Raises:
            ValueError: the path has another form, or the verb is taken.
        """
        prefix, _, verb = path.partition(_SLOT)
        if not verb or "/" in verb or (method, verb) in self._routes:
            raise ValueError(f"{path} cannot be prompt")
        self._routes[method, verb] = (f"{prefix}/", handler)

    def find(self, message: RawRequestMessage) -> Match | None:
        """The route match of a request; None when aiohttp's router has to find it."""
        head, _, verb = message.path.rpartition("/")
        known = self._routes.get((message.method, verb))
        if known is None:
            return None
        prefix, handler = known
        number = head.removeprefix(prefix)
        unusual = (
            message.version is not HttpVersion11
            or message.should_close
            or message.upgrade
            or hdrs.EXPECT in message.headers
        )
        if unusual or number is head or _ID.fullmatch(number) is None:
            return None
        return Match(number, self._app, handler)


PROMPTS: web.AppKey[FastPath] = web.AppKey("prompts", FastPath)
