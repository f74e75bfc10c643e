"""Sample secrets: values of samples and guides that must not be used."""

from __future__ import annotations

import re

# Values of samples and guides, without punctuation.
_SAMPLES = frozenset(
    {
        "changeme", "changethis", "changeit", "password", "yourpassword", "mypassword", "secret", "yoursecret",
        "samplecustomer", "sampledriver", "sampleadmin", "example", "replaceme", "todo", "xxxxxxxx",
    }
)  # fmt: skip
# Least number of different characters in a secret.
DIFFERENT_MIN = 4


def is_sample(secret: str) -> bool:
    """True for a secret that is publicly known or too simple."""
    return re.sub(r"[^a-z]", "", secret.lower()) in _SAMPLES
