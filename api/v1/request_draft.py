"""Draft of a version 2 request, made from one of version 1."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from api.contract.json_body import scan_json
from api.contract.literals import as_whole
from api.contract.problems import Fault, Problem

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Draft:
    """A request while it is translated to version 2.

    Attributes:
        operation: name in version 2.
        headers: of the request.
        body: the object in the body; numbers with a fraction are Decimals. None: no body, or not an object.
        raw: a body that is not an object; version 2 refuses it.
        query: further parameters, named as in version 2.
        fresh_key: makes a unique key.
    """

    operation: str
    headers: CIMultiDict[str]
    body: dict[str, Any] | None = None
    raw: bytes | None = None
    query: dict[str, str] = field(default_factory=dict)
    fresh_key: Callable[[], str] = str

    def read(self, data: bytes) -> None:
        """Parse the body.

        Raises:
            Problem: it is not valid JSON.
        """
        scan_json(data)
        value = json.loads(data, parse_float=_exact)
        if isinstance(value, dict):
            self.body, self.raw = value, None
        else:
            self.raw = data

    def data(self) -> bytes | None:
        """The body in the form of version 2."""
        if self.body is None:
            return self.raw
        return json.dumps(self.body, default=float).encode()


# Replaces a number close to zero: a Decimal may have an exponent that is too large to compute with.
_TINY = Decimal("1e-300")


def _exact(digits: str) -> Decimal | int:
    value = float(digits)
    if value == 0:
        return _TINY if re.search("[1-9]", re.split("[eE]", digits)[0]) else 0
    exact, whole = Decimal(digits), as_whole(value)
    return whole if isinstance(whole, int) and exact == whole else exact


def refuse_body(faults: Iterable[tuple[str, str, str]]) -> None:
    """Refuse the body for faults (pointer, code, text), if any.

    The pointers are those of version 1, and lose their `#`, so that they are not translated again.

    Raises:
        Problem: `invalid`.
    """
    found = [
        Fault("body", where.removeprefix("#/").replace("/", "."), code, wrong)
        for where, code, wrong in faults
    ]
    if found:
        raise Problem("invalid", faults=found)
