"""Transform of the Idempotency-Key: optional for orders in version 1, required in version 2; required for payments."""

from __future__ import annotations

from hashlib import sha256

from api.contract.problems import Problem
from api.http.request import RequestContext
from api.v1.request_draft import Draft

KEY = "Idempotency-Key"
# Operations that version 1 runs without a key.
_OPTIONAL = frozenset({"orders.create"})


def forward(draft: Draft, context: RequestContext) -> None:
    """Give a request without a key a fresh one.

    Keys of version 1 never equal those of version 2, so an answer is not replayed in the other version's form.
    """
    try:
        key = context.key()
    except Problem:
        return  # version 2 refuses it, where it checks keys
    if key:
        draft.headers[KEY] = f"v1:{sha256(key.encode()).hexdigest()}"
    elif draft.operation in _OPTIONAL:
        draft.headers[KEY] = f"v1-auto:{draft.fresh_key()}"
