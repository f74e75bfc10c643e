"""Messages and replies as JSON values, and back.

Only types that were named when the codec was made cross the line, so a peer can send nothing that this
program does not know; pydantic checks every field on arrival. What is not one of them must be plain JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

_PLAIN = (type(None), bool, int, float, str, list, dict)


class Untransferable(Exception):
    """This value stays on its instance: its type was not named."""


class UndecodableValue(Exception):
    """What arrived is no value of the type that it claims to be."""


class Codec:
    """Values of the named types (dataclasses, named tuples) and plain JSON.

    Args:
        types: types that may travel, each under the name of its class.
        former: names under which renamed types travelled in the version before. They are sent under that name, for a
            peer of that version knows no other, and read under both.
    """

    def __init__(self, types: Iterable[type], former: Mapping[type, str] | None = None) -> None:
        self._adapters: dict[str, TypeAdapter[Any]] = {}
        self._names: dict[type, str] = {}
        former = former or {}
        for kind in types:
            adapter: TypeAdapter[Any] = TypeAdapter(kind)
            for name in {kind.__name__, former.get(kind, kind.__name__)}:
                assert name not in self._adapters, f"two types are called {name}"
                self._adapters[name] = adapter
            self._names[kind] = former.get(kind, kind.__name__)

    def pack(self, value: object) -> list[Any]:
        """`[type, JSON value]`.

        Raises:
            Untransferable: neither a named type nor plain JSON.
        """
        name = self._names.get(type(value))
        if name is not None:
            return [name, self._adapters[name].dump_python(value, mode="json")]
        if type(value) in _PLAIN:
            return ["", value]
        raise Untransferable(type(value).__name__)

    def unpack(self, packed: Any) -> Any:
        """What `pack` was given.

        Raises:
            Garbled: an unknown type, or fields that do not fit.
        """
        try:
            name, value = packed
            return self._adapters[name].validate_python(value) if name else value
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise UndecodableValue(type(error).__name__) from None
