"""E-mail addresses of accounts: the one form under which an account is found, however its address is written."""

from __future__ import annotations

import unicodedata


def normal_form(address: str) -> str:
    """The form that is compared: without differences of case and composition (Unicode's canonical caseless matching).

    It is computed here and nowhere else, and stored beside the address: Postgres folds other letters than Python, and
    each version of either folds its own.
    """
    folded = unicodedata.normalize("NFD", address).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", folded))
