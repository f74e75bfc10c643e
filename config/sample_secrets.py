"""Secrets that are none: what stands in samples until somebody has thought of one."""

from __future__ import annotations

import re

# What stands in samples and guides until somebody has thought of a secret, without its punctuation.
_SAMPLES = frozenset(
    {
        "changeme", "changethis", "changeit", "password", "yourpassword", "mypassword", "secret", "yoursecret",
        "samplecustomer", "sampledriver", "sampleadmin", "example", "replaceme", "todo", "xxxxxxxx",
    }
)  # fmt: skip
# Fewer different characters than this are no password, however many there are.
DIFFERENT_MIN = 4


def is_sample(secret: str) -> bool:
    """True for what everybody knows."""
    return re.sub(r"[^a-z]", "", secret.lower()) in _SAMPLES
