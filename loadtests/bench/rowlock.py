"""Peer (a): the row-lock design of the original plan. FastAPI, async SQLAlchemy over asyncpg, and a lock on
the order's row in a transaction.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import selectinload

from api.auth.access_tokens import Principal, Tokens
from loadtests.bench.bodies import Accepted, NewOrderBody, ShownOrder
from loadtests.bench.peer_auth import (
    POOL_SIZE,
    PeerAddress,
    PeerRefusal,
    caller,
    load_tokens,
    order_number,
    parse_address,
)
from loadtests.bench.tables import EventRow, OrderRow, ProductRow, place, shown, take

Caller = Callable[..., Awaitable[Principal]]
Sessions = async_sessionmaker[AsyncSession]


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """A refusal as JSON."""
    del request
    assert isinstance(error, PeerRefusal)
    return JSONResponse({"code": error.code, "status": error.status}, error.status)


def sender(tokens: Tokens, role: str) -> Caller:
    """The dependency that finds out who sends a request; it must be of this role."""

    async def find(authorization: Annotated[str | None, Header()] = None) -> Principal:
        return caller(tokens, authorization, role)

    return find


def make_app(at: PeerAddress, tokens: Tokens) -> FastAPI:
    """The application of the original plan, without what it would lose time with."""
    engine = create_async_engine(
        at.database_url.replace("postgresql://", "postgresql+asyncpg://"),
        pool_size=POOL_SIZE,
        max_overflow=0,
        connect_args={"server_settings": {"search_path": at.schema, "jit": "off"}},
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan, exception_handlers={PeerRefusal: refuse})
    add_orders(app, sender(tokens, "customer"), sessions)
    add_acceptance(app, sender(tokens, "driver"), sessions)
    return app


def add_orders(app: FastAPI, customer_of: Caller, sessions: Sessions) -> None:
    """Creating and reading."""

    @app.post("/api/v2/orders", status_code=201)
    async def create(
        body: NewOrderBody,
        who: Annotated[Principal, Depends(customer_of)],
    ) -> ShownOrder:
        async with sessions() as db, db.begin():
            numbers = [line.number for line in body.items]
            found = await db.scalars(select(ProductRow).where(ProductRow.id.in_(numbers)))
            row = place(body, who.number, {product.id: product for product in found})
            db.add(row)
            await db.flush()
            db.add(EventRow(order_id=row.id, version=1, type="created", actor=f"usr_{who.number}"))
        return shown(row)

    @app.get("/api/v2/orders/{order_id}")
    async def read(
        order_id: str,
        who: Annotated[Principal, Depends(customer_of)],
    ) -> ShownOrder:
        query = (
            select(OrderRow)
            .where(OrderRow.id == order_number(order_id))
            .options(selectinload(OrderRow.items))
        )
        async with sessions() as db:
            row = await db.scalar(query)
        if row is None or row.customer_id != who.number:
            raise PeerRefusal(404, "order_not_found")
        return shown(row)


def add_acceptance(app: FastAPI, driver_of: Caller, sessions: Sessions) -> None:
    """Accepting: the order's row is locked, looked at, and written."""

    @app.post("/api/v2/orders/{order_id}/acceptance")
    async def accept(
        order_id: str,
        who: Annotated[Principal, Depends(driver_of)],
    ) -> Accepted:
        async with sessions() as db, db.begin():
            query = select(OrderRow).where(OrderRow.id == order_number(order_id)).with_for_update()
            row = await db.scalar(query)
            event = take(row, who.number)
            db.add(event)
        return Accepted(result="won", version=event.version)


def serve(make: Callable[[PeerAddress, Tokens], FastAPI]) -> None:
    """Serve an application until killed."""
    at = parse_address()
    uvicorn.run(
        make(at, load_tokens(at.database_url)), host="127.0.0.1", port=at.port, loop="uvloop", http="httptools",
        log_level="warning", access_log=False,
    )  # fmt: skip


if __name__ == "__main__":
    serve(make_app)
