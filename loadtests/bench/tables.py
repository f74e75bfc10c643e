"""The peers' tables as SQLAlchemy models, for the row-lock design in both its forms."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadtests.bench.bodies import NewOrderBody, ShownItem, ShownOrder
from loadtests.bench.peer_auth import PeerRefusal


class Base(DeclarativeBase):
    pass


class ProductRow(Base):
    __tablename__ = "products"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    active: Mapped[bool]


class ItemRow(Base):
    __tablename__ = "order_items"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int]
    price_minor: Mapped[int] = mapped_column(BigInteger)


class OrderRow(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    customer_id: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1)
    driver_id: Mapped[int | None] = mapped_column(BigInteger)
    lat: Mapped[float]
    lon: Mapped[float]
    address: Mapped[str] = mapped_column(Text)
    payment: Mapped[str] = mapped_column(Text)
    notes: Mapped[str | None] = mapped_column(Text)
    total_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    items: Mapped[list[ItemRow]] = relationship(order_by=ItemRow.line, lazy="raise")


class EventRow(Base):
    __tablename__ = "order_events"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)


def take(row: OrderRow | None, driver: int) -> EventRow:
    """Give a locked order to a driver; returns the entry of its history.

    Raises:
        PeerRefusal: there is none, or it is taken.
    """
    if row is None:
        raise PeerRefusal(404, "order_not_found")
    if row.status != "confirmed":
        raise PeerRefusal(409, "order_taken")
    row.status, row.driver_id, row.version = "assigned", driver, row.version + 1
    row.updated_at = func.now()
    return EventRow(order_id=row.id, version=row.version, type="assigned", actor=f"drv_{driver}")


def place(wanted: NewOrderBody, customer: int, products: dict[int, ProductRow]) -> OrderRow:
    """A new order with its lines.

    Raises:
        PeerRefusal: a product is unknown or inactive.
    """
    items, total = [], 0
    for index, line in enumerate(wanted.items):
        product = products.get(line.number)
        if product is None or not product.active:
            raise PeerRefusal(422, "unknown_product")
        total += product.price_minor * line.quantity
        items.append(
            ItemRow(
                line=index + 1,
                product_id=product.id,
                name=product.name,
                quantity=line.quantity,
                price_minor=product.price_minor,
            )
        )
    at, currency = wanted.dropoff, next(iter(products.values())).currency
    return OrderRow(
        customer_id=customer, status="confirmed", version=1, driver_id=None, lat=at.lat, lon=at.lon,
        address=at.address, payment=wanted.payment, notes=wanted.notes, total_minor=total,
        currency=currency, items=items,
    )  # fmt: skip


def shown(row: OrderRow) -> ShownOrder:
    """The order as the client sees it."""
    return ShownOrder(
        id=f"ord_{row.id}",
        status=row.status,
        version=row.version,
        driver_id=None if row.driver_id is None else f"drv_{row.driver_id}",
        total_minor=row.total_minor,
        currency=row.currency,
        created_at=row.created_at.isoformat(),
        items=[
            ShownItem(
                product_id=f"prd_{item.product_id}",
                name=item.name,
                quantity=item.quantity,
                price_minor=item.price_minor,
            )
            for item in row.items
        ],
    )
