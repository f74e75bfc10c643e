"""The OpenAPI document of version 1, translated from that of version 2."""

from __future__ import annotations

from aiohttp import web

from api.call import Call


async def serve(call: Call) -> web.Response:
    """The document."""
    del call
    return web.Response(body=b"{}", content_type="application/json")
