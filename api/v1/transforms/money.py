"""Transform of money.

Version 1 has a decimal amount beside its currency (`"price": 12.50, "currency": "EUR"`), version 2 has minor units with
the currency (`"price": {"amount_minor": 1250, "currency": "EUR"}`).

Floats are not used: amounts are read and written as decimals with the currency's number of digits.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from api.v1.request_draft import Draft, refuse_body
from api.v1.transforms.tree import objects

# ISO 4217: all other currencies have two digits.
_DECIMALS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
    "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "CLF": 4, "UYW": 4,
}  # fmt: skip
_MONEY = {"amount_minor", "currency"}
# Operations with an amount in their body, and the amount's name.
_PRICED = {"products.create": "price", "products.update": "price", "orders.create": "expected_total"}
# Larger than any amount; larger numbers are refused before any computation.
_AMOUNT_MAX = 10**12
_DIGITS_MAX = 20


def decimals(currency: object) -> int:
    """Number of decimal digits of a currency."""
    return _DECIMALS.get(currency, 2) if isinstance(currency, str) else 2


def forward(draft: Draft) -> None:
    """Merge the amount and `currency` into one object.

    Raises:
        Problem: the price is not a number, or has too many digits for its currency.
    """
    body = draft.body
    name = _PRICED.get(draft.operation, "")
    if body is None or not name or not {name, "currency"} & body.keys():
        return
    price: dict[str, Any] = {}
    if "currency" in body:
        price["currency"] = body.pop("currency")
    if name in body:
        price["amount_minor"] = _minor(name, body[name], decimals(price.get("currency")))
    body[name] = price


def _minor(name: str, amount: Any, digits: int) -> int:
    where = f"#/{name}"
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        refuse_body([(where, "decimal", "must be a number such as 12.50")])
    value = Decimal(amount)
    if not 0 <= value <= _AMOUNT_MAX:
        refuse_body([(where, "range", "must be an amount of money")])
    if len(value.as_tuple().digits) > _DIGITS_MAX or value.scaleb(digits) % 1 != 0:
        refuse_body([(where, "precision", f"must have at most {digits} digits behind the point")])
    return int(value.scaleb(digits))


def backward(answer: Any) -> None:
    """Replace each amount by a number, with its currency in a field beside it."""
    for _, node in objects(answer):
        for name, value in list(node.items()):
            if isinstance(value, dict) and value.keys() == _MONEY:
                node[name] = orjson.Fragment(decimal_text(value["amount_minor"], value["currency"]))
                node["currency"] = value["currency"]


def decimal_text(amount_minor: int, currency: str) -> str:
    """An amount as text: `decimal_text(1250, "EUR")` is `12.50`."""
    return f"{Decimal(amount_minor).scaleb(-decimals(currency)):f}"


def field(operation: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """The field of version 1 for a refused field of version 2."""
    name = _PRICED.get(operation)
    if name is not None and path[:1] == (name,):
        return ("currency",) if path[1:] == ("currency",) else (name,)
    return path
