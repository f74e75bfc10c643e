"""Messages and replies as JSON values, and back.

Only types that were given to the codec travel, so a peer cannot send an unknown one. pydantic checks each field on
arrival. Any other value must be plain JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

_PLAIN = (type(None), bool, int, float, str, list, dict)


class Untransferable(Exception):
    """The value cannot travel: the codec does not have its type."""


class UndecodableValue(Exception):
    """A received value is not of the type that it names."""


class Codec:
    """Encodes and decodes values of the given types (dataclasses, named tuples) and plain JSON.

    Args:
        types: types that may travel, each under its class name.
        former: class names of renamed types in the previous version. They are sent under the former name, because a
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
        """Encode a value as `[type, JSON value]`.

        Raises:
            Untransferable: neither one of the types nor plain JSON.
        """
        name = self._names.get(type(value))
        if name is not None:
            return [name, self._adapters[name].dump_python(value, mode="json")]
        if type(value) in _PLAIN:
            return ["", value]
        raise Untransferable(type(value).__name__)

    def unpack(self, packed: Any) -> Any:
        """Decode what `pack` has encoded.

        Raises:
            UndecodableValue: an unknown type, or fields that do not fit.
        """
        try:
            name, value = packed
            return self._adapters[name].validate_python(value) if name else value
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise UndecodableValue(type(error).__name__) from None
