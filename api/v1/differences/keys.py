"""Version 1 takes an order without an Idempotency-Key, version 2 does not. Payments need one in both."""

from __future__ import annotations

from hashlib import sha256

from api.v1.draft import Draft

KEY = "Idempotency-Key"
# Operations that version 1 runs without a key.
_OPTIONAL = frozenset({"orders.create"})


def forward(draft: Draft, key: str) -> None:
    """Give a key to a request without one. A key of version 1 is never the same as one of version 2: an
    answer in one form is not repeated in the other.
    """
    draft.headers.popall(KEY, None)
    if key:
        draft.headers[KEY] = f"v1:{sha256(key.encode()).hexdigest()}"
    elif draft.operation in _OPTIONAL:
        draft.headers[KEY] = f"v1-auto:{draft.fresh_key()}"
