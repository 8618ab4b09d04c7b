"""Every text that a person may read is there in Korean and in English, and every kind of problem is explained.

The modules are imported by name: what is judged here is the source of all services, not a running one.
"""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import msgspec
import pytest

from local.reference import PROBLEMS
from test_house import REPOSITORY, SOURCES, place

HANGUL = re.compile(r"[가-힣]")
QUOTED = re.compile(r"`[^`]*`|\{\w+\}")
# The program of a package is run, not imported.
MODULES = [path for path in SOURCES if path.stem not in {"__main__", "__init__"} and "/local/" not in str(path)]


@pytest.fixture(scope="module")
def texts() -> dict[str, Any]:
    return {f"{module}:{text.en}": text for module, text in found("api.messages", "Text")}


@pytest.fixture(scope="module")
def kinds() -> dict[str, Any]:
    return {kind.code: kind for _, kind in found("api.problems", "Kind")}


def found(module: str, kind: str) -> Iterator[tuple[str, Any]]:
    """What of a type the modules of all packages hold, however deep."""
    wanted = getattr(import_module(module), kind)
    for path in MODULES:
        name = ".".join(path.with_suffix("").parts[path.parts.index("src") + 1 :])
        for value in list(vars(import_module(name)).values()):
            yield from ((name, one) for one in within(value) if isinstance(one, wanted))


def within(value: Any) -> Iterator[Any]:
    yield value
    inner: Any = ()
    if isinstance(value, msgspec.Struct):
        inner = [getattr(value, name) for name in value.__struct_fields__]
    elif isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, tuple | list | frozenset):
        inner = value
    for one in inner:
        yield from within(one)


def test_every_text_says_something_of_its_own_in_korean_and_in_english(texts: dict[str, Any]) -> None:
    assert len(texts) > 50
    same = [where for where, text in texts.items() if text.ko.strip() == text.en.strip()]
    foreign = [where for where, text in texts.items() if HANGUL.search(text.en)]
    untranslated = [where for where, text in texts.items() if not HANGUL.search(QUOTED.sub("", text.ko))]
    assert not same + foreign + untranslated


def test_every_service_that_people_read_has_texts_in_both_languages(texts: dict[str, Any]) -> None:
    services = {where.split(".")[0] for where in texts}
    assert services == {"api", "auth", "todos", "activity", "mailer", "notifier"}


def test_every_letter_is_written_in_both_languages() -> None:
    letters = {path.name: path.read_text() for path in REPOSITORY.glob("services/*/src/**/*.jinja")}
    assert letters
    for name, text in letters.items():
        kind, language, _ = name.split(".")
        other = letters.get(f"{kind}.{'ko' if language == 'en' else 'en'}.jinja")
        assert other is not None, name
        assert other != text, name
        assert bool(HANGUL.search(text)) == (language == "ko"), name


def test_texts_are_made_where_they_can_be_found() -> None:
    """Not inside functions: nobody would see a translation that is missing before a person does."""
    inside = [
        f"{place(path)}:{call.lineno}"
        for path in SOURCES
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name != "_kind"
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"Text", "Message"}
    ]
    assert not inside


def test_one_code_has_one_status_and_one_key_one_text(kinds: dict[str, Any], texts: dict[str, Any]) -> None:
    assert all(kinds[kind.code].status == kind.status for _, kind in found("api.problems", "Kind"))
    messages = {(text.key, text.en) for text in texts.values() if hasattr(text, "key")}
    assert len({key for key, _ in messages}) == len(messages)


def test_the_type_of_every_problem_is_explained(kinds: dict[str, Any]) -> None:
    explained = re.findall(r"^### `urn:problem:(\S+)`$", PROBLEMS.read_text(), re.MULTILINE)
    assert len(explained) == len(set(explained))
    undeclared = kinds.keys() - explained
    assert not undeclared, "declare these where they are refused (`problems=[...]`) and run `just openapi`"
    assert not set(explained) - kinds.keys()
