"""Merge patches (RFC 7396): an absent field stays as it is, null clears a field that may be empty.

A model of a patch gives each field the type of its column, and `absent()` as its default, so null is accepted by
nullable fields and refused by name for all others.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.contract.fields import Strict


def _nothing() -> Any:
    return None


def absent() -> Any:
    """Default of a patch's field. It reads as None; `Patch.sets` tells it from null."""
    return Field(default_factory=_nothing)


class Patch(Strict):
    """Base of the models of a PATCH."""

    @property
    def changes(self) -> bool:
        """False for an empty patch, which changes nothing and makes no new version."""
        return bool(self.model_fields_set)

    def given(self) -> dict[str, Any]:
        """The fields that were given, by name, null included."""
        return self.model_dump(exclude_unset=True)

    def sets(self, name: str) -> bool:
        """True when the field was given, null included."""
        return name in self.model_fields_set
