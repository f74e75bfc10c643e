"""Peers (d) and (e), on bare aiohttp.

(e) is the strongest simple design: asyncpg, one conditional UPDATE for an acceptance, one INSERT statement
for an order, no actors, no driver's capacity, no history, no feed.
(d) answers a constant and touches nothing: the ceiling of aiohttp on this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import orjson
import uvloop
from aiohttp import web

from api.auth.access_tokens import Tokens
from loadtests.bench.bodies import NewOrderBody
from loadtests.bench.peer_auth import (
    POOL_SIZE,
    PeerAddress,
    PeerRefusal,
    caller,
    load_tokens,
    order_number,
    parse_address,
)

ACCEPT = """
UPDATE orders SET status = 'assigned', driver_id = $2, version = version + 1, updated_at = now()
 WHERE id = $1 AND status = 'confirmed' RETURNING version
"""
CREATE = """
WITH lines AS (
    SELECT l.line, p.id, p.name, p.price_minor, p.currency, l.quantity
      FROM unnest($1::bigint[], $2::integer[]) WITH ORDINALITY AS l(product, quantity, line)
      JOIN products p ON p.id = l.product AND p.active
), made AS (
    INSERT INTO orders (customer_id, status, lat, lon, address, payment, notes, total_minor, currency)
    SELECT $3, 'confirmed', $4, $5, $6, $7, $8, sum(price_minor * quantity), min(currency)
      FROM lines HAVING count(*) = cardinality($1)
    RETURNING id, total_minor, currency, created_at
), items AS (
    INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor)
    SELECT made.id, l.line, l.id, l.name, l.quantity, l.price_minor FROM made, lines l
)
SELECT made.id, made.total_minor, made.currency, made.created_at,
       (SELECT json_agg(json_build_object('product_id', 'prd_' || l.id, 'name', l.name, 'quantity', l.quantity,
                                          'price_minor', l.price_minor) ORDER BY l.line) FROM lines l) AS items
  FROM made
"""
READ = """
SELECT o.id, o.status, o.version, o.driver_id, o.total_minor, o.currency, o.created_at,
       (SELECT json_agg(json_build_object('product_id', 'prd_' || i.product_id, 'name', i.name,
                                          'quantity', i.quantity, 'price_minor', i.price_minor) ORDER BY i.line)
          FROM order_items i WHERE i.order_id = o.id) AS items
  FROM orders o WHERE o.id = $1 AND o.customer_id = $2
"""
Handler = Callable[[web.Request], Awaitable[web.Response]]


def answer(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def refusing(handler: Handler) -> Handler:
    """The handler with refusals as JSON."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except PeerRefusal as error:
            return answer({"code": error.code, "status": error.status}, error.status)
        except ValueError:
            return answer({"code": "invalid", "status": 422}, 422)

    return handle


def shown(row: asyncpg.Record, status: str, version: int, driver: int | None) -> dict[str, object]:
    """The order as the client sees it."""
    return {
        "id": f"ord_{row['id']}",
        "status": status,
        "version": version,
        "driver_id": None if driver is None else f"drv_{driver}",
        "total_minor": row["total_minor"],
        "currency": row["currency"],
        "created_at": row["created_at"].isoformat(),
        "items": orjson.Fragment(row["items"]),
    }


class Simple:
    """The strongest simple design."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], tokens: Tokens) -> None:
        self._pool = pool
        self._tokens = tokens

    async def create(self, request: web.Request) -> web.Response:
        """One statement makes an order."""
        who = caller(self._tokens, request.headers.get("Authorization"), "customer")
        body = NewOrderBody.model_validate_json(await request.read())
        row = await self._pool.fetchrow(
            CREATE, [line.number for line in body.items], [line.quantity for line in body.items], who.number,
            body.dropoff.lat, body.dropoff.lon, body.dropoff.address, body.payment, body.notes,
        )  # fmt: skip
        if row is None:
            raise PeerRefusal(422, "unknown_product")
        return answer(shown(row, "confirmed", 1, None), 201)

    async def read(self, request: web.Request) -> web.Response:
        """One query reads an order."""
        who = caller(self._tokens, request.headers.get("Authorization"), "customer")
        row = await self._pool.fetchrow(READ, order_number(request.match_info["id"]), who.number)
        if row is None:
            raise PeerRefusal(404, "order_not_found")
        return answer(shown(row, row["status"], row["version"], row["driver_id"]))

    async def accept(self, request: web.Request) -> web.Response:
        """One conditional UPDATE: who changes the row has won."""
        who = caller(self._tokens, request.headers.get("Authorization"), "driver")
        version = await self._pool.fetchval(ACCEPT, order_number(request.match_info["id"]), who.number)
        if version is None:
            raise PeerRefusal(409, "order_taken")
        return answer({"result": "won", "version": version})


async def bare(request: web.Request) -> web.Response:
    """Nothing."""
    del request
    return answer({"result": "won", "version": 2})


async def serve(at: PeerAddress, tokens: Tokens) -> None:
    """Serve both until killed: (d) under /bare."""
    async with asyncpg.create_pool(
        at.database_url,
        min_size=POOL_SIZE,
        max_size=POOL_SIZE,
        server_settings={"search_path": at.schema, "jit": "off"},
    ) as pool:
        simple = Simple(pool, tokens)
        app = web.Application()
        app.router.add_post("/api/v2/orders", refusing(simple.create))
        app.router.add_get("/api/v2/orders/{id}", refusing(simple.read))
        app.router.add_post("/api/v2/orders/{id}/acceptance", refusing(simple.accept))
        app.router.add_post("/bare/orders/{id}/acceptance", bare)
        app.router.add_post("/bare/orders", bare)
        app.router.add_get("/bare/orders/{id}", bare)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", at.port, backlog=1024).start()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    at = parse_address()
    uvloop.run(serve(at, load_tokens(at.database_url)))


if __name__ == "__main__":
    main()
