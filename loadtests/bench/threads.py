"""Peer (f): the row-lock design in its synchronous form. FastAPI runs each handler on a thread; SQLAlchemy
and psycopg wait in it.

Sessions are opened in the handlers. As a dependency with `yield` a session is closed on a thread, too, and at
256 requests at once all threads waited for connections whose owners waited for a thread.
"""

from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, selectinload, sessionmaker

from api.auth.access_tokens import Principal, Tokens
from loadtests.bench.bodies import Accepted, NewOrderBody, ShownOrder
from loadtests.bench.peer_auth import (
    POOL_SIZE,
    PeerAddress,
    PeerRefusal,
    order_number,
)
from loadtests.bench.rowlock import Caller, refuse, sender, serve
from loadtests.bench.tables import EventRow, OrderRow, ProductRow, place, shown, take

Sessions = sessionmaker[Session]


def make_app(at: PeerAddress, tokens: Tokens) -> FastAPI:
    """The same application, with `def` where (a) has `async def`."""
    engine = create_engine(
        at.database_url.replace("postgresql://", "postgresql+psycopg://"),
        pool_size=POOL_SIZE,
        max_overflow=0,
        connect_args={"options": f"-c search_path={at.schema} -c jit=off"},
    )
    sessions = sessionmaker(engine, expire_on_commit=False)

    app = FastAPI(exception_handlers={PeerRefusal: refuse})
    add_orders(app, sender(tokens, "customer"), sessions)
    add_acceptance(app, sender(tokens, "driver"), sessions)
    return app


def add_orders(app: FastAPI, customer_of: Caller, sessions: Sessions) -> None:
    """Creating and reading."""

    @app.post("/api/v2/orders", status_code=201)
    def create(
        body: NewOrderBody,
        who: Annotated[Principal, Depends(customer_of)],
    ) -> ShownOrder:
        with sessions() as db, db.begin():
            numbers = [line.number for line in body.items]
            found = db.scalars(select(ProductRow).where(ProductRow.id.in_(numbers)))
            row = place(body, who.number, {product.id: product for product in found})
            db.add(row)
            db.flush()
            db.add(EventRow(order_id=row.id, version=1, type="created", actor=f"usr_{who.number}"))
        return shown(row)

    @app.get("/api/v2/orders/{order_id}")
    def read(
        order_id: str,
        who: Annotated[Principal, Depends(customer_of)],
    ) -> ShownOrder:
        query = (
            select(OrderRow)
            .where(OrderRow.id == order_number(order_id))
            .options(selectinload(OrderRow.items))
        )
        with sessions() as db:
            row = db.scalar(query)
        if row is None or row.customer_id != who.number:
            raise PeerRefusal(404, "order_not_found")
        return shown(row)


def add_acceptance(app: FastAPI, driver_of: Caller, sessions: Sessions) -> None:
    """Accepting: the order's row is locked, looked at, and written."""

    @app.post("/api/v2/orders/{order_id}/acceptance")
    def accept(
        order_id: str,
        who: Annotated[Principal, Depends(driver_of)],
    ) -> Accepted:
        with sessions() as db, db.begin():
            query = select(OrderRow).where(OrderRow.id == order_number(order_id)).with_for_update()
            event = take(db.scalar(query), who.number)
            db.add(event)
        return Accepted(result="won", version=event.version)


if __name__ == "__main__":
    serve(make_app)
