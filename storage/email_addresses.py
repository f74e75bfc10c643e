"""Normal form of e-mail addresses, under which an account is found."""

from __future__ import annotations

import unicodedata


def normal_form(address: str) -> str:
    """Normal form of an address: Unicode's canonical caseless matching.

    It is computed only here, and stored beside the address, because case folding differs between Postgres and Python
    and between their versions.
    """
    folded = unicodedata.normalize("NFD", address).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", folded))
