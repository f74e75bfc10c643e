"""Choice of the feed's WebSocket: on aiohttp's internals, or stock."""

from __future__ import annotations

from api.feed.feed_socket import FeedSocket


def socket_class(*, fast: bool) -> type[FeedSocket]:
    """The class of a feed's sockets: the fast one, or the stock one, which uses none of aiohttp's internals."""
    if fast:
        from api.feed.websocket import Socket

        return Socket
    from api.feed.stock_socket import StockSocket

    return StockSocket
