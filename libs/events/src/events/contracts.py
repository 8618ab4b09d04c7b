"""The published contracts: a JSON Schema of each event type and one AsyncAPI document, generated from the catalogue.

`python -m events.contracts write|check|release FOLDER`: `write` generates them, `check` says what is out of date or
breaks the last release, `release` keeps the present schemas as what the next ones must stay compatible with.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from events.asyncapi import document
from events.catalog.feeds import CORE, FEEDS, HEARS
from events.catalog.types import TYPES

Schema = Mapping[str, Any]
Texts = Mapping[str, str]
"""Contents by path below the contracts' folder."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_USAGE = "usage: python -m events.contracts write|check|release FOLDER"


def schema_of(name: str, struct: type[msgspec.Struct]) -> Schema:
    """The JSON Schema (2020-12) of an event type's data, titled with its wire name."""
    _, parts = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    own = parts.pop(struct.__name__)
    return {"$schema": _DIALECT, **own, "title": name, **({"$defs": parts} if parts else {})}


def generated() -> Texts:
    """Every contract as the catalogue has it now."""
    asyncapi = document(TYPES, FEEDS.values(), HEARS, core=CORE, version=version("todo-events"))
    schemas = {f"schemas/{name}.json": _text(schema_of(name, TYPES[name])) for name in sorted(TYPES)}
    return {"asyncapi.json": _text(asyncapi), **schemas}


def outdated(folder: Path) -> list[str]:
    """The files of `folder` that are missing, surplus, or other than generated."""
    committed, now = _committed(folder), generated()
    return [name for name in sorted({*committed, *now}) if committed.get(name) != now.get(name)]


def breaks(released: Mapping[str, Schema], current: Mapping[str, Schema]) -> Iterator[str]:
    """What a reader of the last release could not bear, one sentence each, naming the field."""
    for name, old in released.items():
        if name in current:
            yield from (f"{name}: {what}" for what in _changes(old, current[name]))
        else:
            yield f"{name} was removed: a published type stays"


def _changes(old: Schema, new: Schema) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    demanded, demands = set(old.get("required", ())), set(new.get("required", ()))
    for field in before.keys() - after.keys():
        yield f"field {field} was removed or renamed: keep it, add another beside it"
    for field in before.keys() & after.keys():
        if _shape(before[field]) != _shape(after[field]):
            yield f"field {field} changed its type: add another, or a new version of the event"
        if (field in demanded) != (field in demands):
            yield f"field {field} changed whether it is required"
    for field in demands - before.keys():
        yield f"new field {field} is required: give it a default, earlier events lack it"
    for part, shape in old.get("$defs", {}).items():
        yield from (f"{part}: {what}" for what in _changes(shape, new.get("$defs", {}).get(part, {})))


def _shape(schema: Any) -> Any:
    """A schema without what only explains it."""
    if isinstance(schema, dict):
        return {key: _shape(value) for key, value in schema.items() if key not in {"title", "description", "examples"}}
    return [_shape(item) for item in schema] if isinstance(schema, list) else schema


def check(folder: Path) -> list[str]:
    """What is wrong with the committed contracts, a sentence each; empty when all is well."""
    stale = [f"{name} is out of date: run `just contracts`" for name in outdated(folder)]
    released = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "released").glob("*.json"))}
    return stale + sorted(breaks(released, {name: schema_of(name, struct) for name, struct in TYPES.items()}))


def write(folder: Path) -> None:
    """Make `folder` hold what is generated, and nothing older."""
    now = generated()
    for name in _committed(folder).keys() - now.keys():
        (folder / name).unlink()
    for name, text in now.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def release(folder: Path) -> None:
    """Keep the present schemas as the last release's."""
    (folder / "released").mkdir(parents=True, exist_ok=True)
    for name, struct in TYPES.items():
        (folder / "released" / f"{name}.json").write_text(_text(schema_of(name, struct)))


def _committed(folder: Path) -> Texts:
    paths = [*folder.glob("asyncapi.json"), *folder.glob("schemas/*.json")]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def _text(contract: Schema) -> str:
    return json.dumps(_dedented(contract), indent=2, ensure_ascii=False) + "\n"


def _dedented(part: Any, name: str = "") -> Any:
    """The same under every Python: before 3.13 a docstring keeps the indentation of its source."""
    if isinstance(part, dict):
        return {key: _dedented(value, key) for key, value in part.items()}
    if isinstance(part, list):
        return [_dedented(item) for item in part]
    return cleandoc(part) if name == "description" and isinstance(part, str) else part


def main(arguments: Sequence[str]) -> None:
    """The command line; `check` and `release` exit with what is wrong."""
    match list(arguments):
        case ["write", folder]:
            write(Path(folder))
        case ["check", folder]:
            _exit_with(check(Path(folder)))
        case ["release", folder]:
            _exit_with(check(Path(folder)))
            release(Path(folder))
        case _:
            sys.exit(_USAGE)


def _exit_with(problems: Sequence[str]) -> None:
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main(sys.argv[1:])
