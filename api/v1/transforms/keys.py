"""Version 1 takes an order without an Idempotency-Key, version 2 does not. Payments need one in both."""

from __future__ import annotations

from hashlib import sha256

from api.contract.problems import Problem
from api.http.request import RequestContext
from api.v1.request_draft import Draft

KEY = "Idempotency-Key"
# Operations that version 1 runs without a key.
_OPTIONAL = frozenset({"orders.create"})


def forward(draft: Draft, context: RequestContext) -> None:
    """Give a key to a request without one. A key of version 1 is never the same as one of version 2: an
    answer in one form is not repeated in the other.
    """
    try:
        key = context.key()
    except Problem:
        return  # version 2 says so, where it looks at keys at all
    if key:
        draft.headers[KEY] = f"v1:{sha256(key.encode()).hexdigest()}"
    elif draft.operation in _OPTIONAL:
        draft.headers[KEY] = f"v1-auto:{draft.fresh_key()}"
