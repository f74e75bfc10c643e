"""Choice of an application's server: our transport, or stock aiohttp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.errors import CannotStart

if TYPE_CHECKING:
    from api.transport.listener import Runner
    from api.transport.stock import StockRunner


class FastPathError(CannotStart):
    """The installed aiohttp lacks internals that our transport needs; the message names them."""


def runner_class(*, fast: bool) -> type[Runner] | type[StockRunner]:
    """The runner class of our transport, or of stock aiohttp, which checks none of aiohttp's internals.

    Raises:
        FastPathError: our transport cannot run on the installed aiohttp.
    """
    if not fast:
        from api.transport.stock import StockRunner

        return StockRunner
    try:
        from api.transport.listener import Runner
    except ImportError as error:
        raise FastPathError(str(error)) from None
    return Runner
