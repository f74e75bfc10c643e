"""Which of two WebSockets a feed has: on aiohttp's insides, or stock."""

from __future__ import annotations

from api.feed.feed_socket import FeedSocket


def socket_class(*, fast: bool) -> type[FeedSocket]:
    """The class of sockets: the fast one, or the stock one, which needs none of aiohttp's insides."""
    if fast:
        from api.feed.websocket import Socket

        return Socket
    from api.feed.stock_socket import StockSocket

    return StockSocket
