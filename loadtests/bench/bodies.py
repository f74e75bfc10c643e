"""What the peers are sent and answer: pydantic models, as the original plan had them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ItemBody(BaseModel):
    """An item of an order."""

    model_config = ConfigDict(extra="forbid")
    product_id: Annotated[str, Field(pattern=r"^prd_[0-9]{1,18}$")]
    quantity: Annotated[int, Field(ge=1, le=99)]

    @property
    def number(self) -> int:
        return int(self.product_id[4:])


class DropoffBody(BaseModel):
    """Where it goes."""

    model_config = ConfigDict(extra="forbid")
    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]
    address: Annotated[str, Field(min_length=1, max_length=200)]


class NewOrderBody(BaseModel):
    """The body of a creation."""

    model_config = ConfigDict(extra="forbid")
    items: Annotated[list[ItemBody], Field(min_length=1, max_length=50)]
    dropoff: DropoffBody
    payment: Literal["card", "cash"]
    notes: Annotated[str | None, Field(max_length=500)] = None


class ShownItem(BaseModel):
    """An item of an order, as shown."""

    product_id: str
    name: str
    quantity: int
    price_minor: int


class ShownOrder(BaseModel):
    """An order, as shown."""

    id: str
    status: str
    version: int
    driver_id: str | None
    total_minor: int
    currency: str
    created_at: str
    items: list[ShownItem]


class Accepted(BaseModel):
    """The answer to an acceptance that won."""

    result: str
    version: int
