"""The schemas of an OpenAPI document, and examples that fit them, from the types themselves.

msgspec writes them: what it decodes by and what is described are one thing. Two things are added: `date-time` for a
time whose struct does not say that it carries a zone (ours all do), and readable names for generic structs.
"""

import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from typing import Any, Final

import msgspec
from msgspec import inspect

Schema = dict[str, Any]

PREFIX: Final = "#/components/schemas/"
_MODULE: Final = re.compile(r"\b(?:\w+\.)+")
_META: Final = re.compile(r"Annotated\[(\w+), Meta\(.*\)\]")
_BY_FORMAT: Final = {
    "uuid": "01a20814-539f-7708-909d-2061a066dbb9",
    "date-time": "2026-11-24T09:00:00Z",
    "date": "2026-11-24",
    "email": "ann@example.org",
}
_BY_TYPE: Final[Mapping[str, Any]] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}


class Schemas:
    """What the types of one document look like; `components` grows with each that is asked for."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._samples: dict[str, Any] = {}

    def of(self, wanted: Any) -> Schema:
        """The schema of a type; raises `ValueError` where two structs of one document bear the same name."""
        (schema,), parts = msgspec.json.schema_components([wanted], ref_template=PREFIX + "{name}")
        _say_times(wanted, schema, parts)
        names = {name: _short(part.get("title", name)) for name, part in parts.items()}
        for name, written in parts.items():
            part = _renamed(written, names) | {"title": names[name]}
            if "description" in part:  # a docstring, which Python 3.13 dedents and those before it do not
                part["description"] = cleandoc(part["description"])
            if self.components.setdefault(names[name], part) != part:
                raise ValueError(f"two types of one document are called {names[name]}: rename one")
            self._keep_samples(part)
        found: Schema = _renamed(schema, names)
        return found

    def resolved(self, schema: Schema) -> Schema:
        """What a reference points at; anything else as it is."""
        return self.components[schema["$ref"].removeprefix(PREFIX)] if "$ref" in schema else schema

    def example(self, schema: Schema, name: str = "") -> Any:
        """A value that fits: given with the type, else with a field of this name elsewhere, else by type."""
        schema = self.resolved(schema)
        alone = (schema.get("default"), schema.get("const"))
        given = [*schema.get("examples", ()), *(one for one in alone if one is not None), *schema.get("enum", ())]
        if given:
            return given[0]
        if choices := schema.get("anyOf"):
            return self.example(next((one for one in choices if one.get("type") != "null"), choices[0]), name)
        return self._made(schema, name)

    def _made(self, schema: Schema, name: str) -> Any:
        kind = schema.get("type", "null")
        if kind == "object":
            return {key: self.example(part, key) for key, part in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.example(schema["items"], name)] if schema.get("items") else []
        sample = self._samples.get(name, _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE.get(kind)))
        return max(sample, schema["minimum"]) if "minimum" in schema else sample

    def _keep_samples(self, part: Schema) -> None:
        for name, schema in part.get("properties", {}).items():
            for one in (schema, *schema.get("anyOf", ())):
                if "examples" in one:
                    self._samples[name] = one["examples"][0]


def _short(title: str) -> str:
    """`Envelope[list[todos.api.Todo]]` as a component may be called: `Envelope_list_Todo`."""
    plain = _META.sub(r"\1", _MODULE.sub("", title))
    return re.sub(r"\W+", "_", plain).strip("_").removesuffix("_NoneType")


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    match schema:
        case {"$ref": str(ref), **rest} if not rest:
            name = ref.removeprefix(PREFIX)
            return {"$ref": PREFIX + names.get(name, name)}
        case dict():
            return {key: _renamed(value, names) for key, value in schema.items()}
        case list() | tuple():
            return [_renamed(value, names) for value in schema]
    return schema


def _say_times(wanted: Any, schema: Schema, parts: Mapping[str, Schema]) -> None:
    node = inspect.type_info(wanted)
    _say_time(node, schema)
    titled = {part.get("title"): part for part in parts.values()}
    for struct in _structs(node, set()):
        part = titled.get(struct.cls.__name__, {})
        for field in struct.fields if part else ():
            _say_time(field.type, part["properties"][field.encode_name])


def _say_time(node: inspect.Type, schema: Schema) -> None:
    inner = node.type if isinstance(node, inspect.Metadata) else node
    choices = inner.types if isinstance(inner, inspect.UnionType) else (inner,)
    plain = (one.type if isinstance(one, inspect.Metadata) else one for one in choices)
    if any(isinstance(one, inspect.DateTimeType) for one in plain):
        for one in (schema, *schema.get("anyOf", ())):
            if one.get("type") == "string":
                one.setdefault("format", "date-time")


def _structs(node: Any, seen: set[int]) -> Iterator[inspect.StructType]:
    """Every struct in a type, by msgspec's account of it."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, inspect.StructType):
        yield node
    if isinstance(node, msgspec.Struct):
        for name in node.__struct_fields__:
            yield from _structs(getattr(node, name), seen)
    elif isinstance(node, tuple):
        for inner in node:
            yield from _structs(inner, seen)
