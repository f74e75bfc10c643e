"""Schemas as the documents show them: what pydantic makes of models and types, brought into one form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from api.json_schema import ANYTHING
from dispatch.domain.ids import NUMBER_MAX

_REF = "#/components/schemas/"
# Names of types that are components end so.
_ENDING = "Answer"


class _AsWritten(GenerateJsonSchema):
    """Members stay in the order in which they were written."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        """Leave them as they are."""
        del parent_key
        return value


def component_of(answer: type[Any]) -> str:
    """The name in the document of a type of answers."""
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
    """A schema without titles; what is no component is written out, and no member is left unsaid."""
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
        "type": "object", "properties": members, "required": kept["required"], "additionalProperties": False,
    }  # fmt: skip


def _shown(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def tightened(schema: Any) -> Any:
    """A schema of a model with what pydantic leaves unsaid: the format of integers, a pattern for texts."""
    if isinstance(schema, list):
        return [tightened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: tightened(value) for name, value in schema.items()}
    # What has a default may be left out, and means that; as `default` generators make it needed, or send it.
    if "default" in found and not isinstance(found["default"], dict):
        usual = found.pop("default")
        if usual is not None:
            found["description"] = " ".join(
                [*filter(None, [found.get("description")]), f"{_shown(usual)} if left out."]
            )
    if found.get("type") == "integer":
        found.setdefault("format", "int64" if found.get("maximum", NUMBER_MAX) >= 2**31 else "int32")
    if found.get("type") == "string" and not {"enum", "const"} & found.keys():
        # The longest time with a zone and nine digits of a second has fewer.
        found.setdefault("maxLength", 64)
        if "format" not in found:
            found.setdefault("pattern", ANYTHING)
    return found
