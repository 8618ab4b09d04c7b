"""Whatever the bytes, decoding ends in a value or in a problem that names what is wrong."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.fields import decode
from api.problems import Problem


class Inner(msgspec.Struct, kw_only=True):
    name: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")]


class Form(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=5)]
    due_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    kind: Literal["a", "b"] = "a"
    owner: UUID | None = None
    parts: list[Inner] = []
    prices: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}


def errors_of(body: object) -> dict[str, str]:
    """Field and code of each error of a body."""
    with pytest.raises(Problem) as refusal:
        decode(json.dumps(body).encode(), Form)
    return {error.field: error.code for error in refusal.value.errors}


def test_fields_go_by_the_names_that_clients_use() -> None:
    assert errors_of({"dueAt": "2026-01-01T00:00:00"}) == {"title": "required", "dueAt": "no_timezone"}
    assert errors_of({"title": "x", "dueAt": "soon"}) == {"dueAt": "not_a_time"}
    assert errors_of({"title": "x", "kind": "z", "owner": 1}) == {"kind": "not_a_choice", "owner": "wrong_type"}
    assert errors_of({"title": "x", "due_at": None}) == {"due_at": "unknown"}


def test_a_field_within_a_field_has_a_path() -> None:
    assert errors_of({"title": "x", "parts": [{"name": "a"}, {"name": "1"}]}) == {"parts.1.name": "format"}
    assert errors_of({"title": "x", "parts": [{}]}) == {"parts.0.name": "required"}
    assert errors_of({"title": "x", "prices": {"a": -1}}) == {"prices": "too_small"}


def test_every_error_has_words_in_both_languages() -> None:
    with pytest.raises(Problem) as refusal:
        decode(b'{"title": "123456", "kind": 1, "parts": [{"name": "1"}], "prices": {"a": -1}}', Form)
    for error in refusal.value.errors:
        for locale in ("en", "ko"):
            assert "{" not in error.to(locale)["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"title": 1}, "must be string"),
        ({"title": "x", "prices": {"a": "1"}}, "must be number"),
        ([], "must be object"),
    ],
)
def test_a_wrong_type_is_named_as_json_names_it(body: object, message: str) -> None:
    with pytest.raises(Problem) as refusal:
        decode(json.dumps(body).encode(), Form)
    assert [error.to("en")["message"] for error in refusal.value.errors] == [message]


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["title", "a\0b", "\\u0000"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list("ab")), inner),
    max_leaves=20,
)
OPTIONAL = dict.fromkeys(("dueAt", "kind", "owner", "parts", "prices", "other"), JSON)
FORMS = st.fixed_dictionaries({"title": st.sampled_from(["x", "a\0b"]) | JSON}, optional=OPTIONAL)


def outcome(body: bytes, wanted: Any) -> Any:
    """What decoding ends in: the value or the problem."""
    try:
        return decode(body, wanted)
    except Problem as problem:
        return problem


@given(FORMS | JSON)
def test_any_json_is_a_form_or_a_problem(value: object) -> None:
    found = outcome(json.dumps(value).encode(), Form)
    if isinstance(found, Problem):
        assert found.kind.status in {400, 422}
        assert found.body("ko", "request")
    else:
        assert b"\\u0000" not in msgspec.json.encode(found)


@given(st.binary())
def test_any_bytes_are_json_or_a_problem(body: bytes) -> None:
    found = outcome(body, Any)
    assert not isinstance(found, Problem) or found.kind.status in {400, 422}
