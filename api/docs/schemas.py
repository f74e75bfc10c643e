"""JSON Schemas in the documents' form, made from pydantic's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from api.json_schema import ANYTHING
from dispatch.domain.ids import NUMBER_MAX

_REF = "#/components/schemas/"
# Names of types that become components end with this.
_ENDING = "Answer"


class _AsWritten(GenerateJsonSchema):
    """Schema generator that keeps members in the order in which they were written."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        """Keep the order."""
        del parent_key
        return value


def component_of(answer: type[Any]) -> str:
    """The component name of an answer's type."""
    return answer.__name__.removesuffix(_ENDING)


def answer_schemas(answers: Iterable[type[Any]]) -> dict[str, dict[str, Any]]:
    """The components that these types consist of, by name."""
    mode: Literal["serialization"] = "serialization"
    made = [(answer.__name__, mode, TypeAdapter(answer)) for answer in answers]
    _, found = TypeAdapter.json_schemas(made, ref_template=_REF + "{model}", schema_generator=_AsWritten)
    parts: dict[str, Any] = found["$defs"]
    return {
        name.removesuffix(_ENDING): _answer(part, parts)
        for name, part in parts.items()
        if name.endswith(_ENDING)
    }


def _answer(schema: Any, parts: dict[str, Any]) -> Any:
    """A schema without titles; types that are not components are inlined, and other members are forbidden."""
    if isinstance(schema, list):
        return [_answer(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    name = schema.get("$ref", "").removeprefix(_REF)
    if name and not name.endswith(_ENDING):
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _answer(parts[name], parts) | rest
    if name:
        return {**schema, "$ref": _REF + name.removesuffix(_ENDING)}
    kept = {key: _answer(value, parts) for key, value in schema.items() if key not in ("title", "properties")}
    if "properties" not in schema:
        return kept
    members = {member: _answer(value, parts) for member, value in schema["properties"].items()}
    return {
        "type": "object",
        "properties": members,
        "required": kept["required"],
        "additionalProperties": False,
    }


def _shown(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def tightened(schema: Any) -> Any:
    """A model's schema with the parts that pydantic leaves out: the format of integers, a pattern for texts."""
    if isinstance(schema, list):
        return [tightened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: tightened(value) for name, value in schema.items()}
    # A member with a default may be left out; generators that read `default` would require or send it.
    if "default" in found and not isinstance(found["default"], dict):
        usual = found.pop("default")
        if usual is not None:
            found["description"] = " ".join(
                [*filter(None, [found.get("description")]), f"{_shown(usual)} if left out."]
            )
    if found.get("type") == "integer":
        found.setdefault("format", "int64" if found.get("maximum", NUMBER_MAX) >= 2**31 else "int32")
    if found.get("type") == "string" and not {"enum", "const"} & found.keys():
        # The longest time with an offset and nine decimals of a second is shorter.
        found.setdefault("maxLength", 64)
        if "format" not in found:
            found.setdefault("pattern", ANYTHING)
    return found
