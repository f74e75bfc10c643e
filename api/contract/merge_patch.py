"""Merge patches (RFC 7396): a field that is absent stays as it is, null removes where there may be nothing.

A model of a patch gives each field the type that its column has, and `absent()` as its default, so null is
taken by the fields that may be empty and refused by name for all others.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.contract.fields import Strict


def _nothing() -> Any:
    return None


def absent() -> Any:
    """The default of a patch's field. Reads as None; `Patch.sets` tells it from null."""
    return Field(default_factory=_nothing)


class Patch(Strict):
    """What a PATCH says."""

    @property
    def changes(self) -> bool:
        """False for an empty patch, which changes nothing and makes no new version."""
        return bool(self.model_fields_set)

    def given(self) -> dict[str, Any]:
        """The fields that were given, by name, be it as null."""
        return self.model_dump(exclude_unset=True)

    def sets(self, name: str) -> bool:
        """True when the field was given, be it as null."""
        return name in self.model_fields_set
