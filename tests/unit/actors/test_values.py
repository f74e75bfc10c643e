"""Values are kept by the type checker, compared and hashed by what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.values import frozen


@frozen
class Pair:
    left: int
    right: int = 0


if TYPE_CHECKING:
    # mypy reports an ignore that ignores nothing: were assignment allowed, `make check` would fail here.
    Pair(1).left = 2  # type: ignore[misc]


def test_values_of_the_same_fields_are_the_same() -> None:
    assert Pair(1) == Pair(1, 0) != Pair(1, 1)
    assert {Pair(1), Pair(1, 0), Pair(2)} == {Pair(1), Pair(2)}


def test_value_has_its_fields_and_no_others() -> None:
    with pytest.raises(AttributeError):
        Pair(1).middle = 3  # type: ignore[attr-defined]
