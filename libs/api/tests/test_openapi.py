"""What is described is what handlers are: nothing has to be said twice."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api.answers import Answer, Envelope, answer
from api.guard import has_role, signed_in
from api.messages import Message, Text
from api.openapi import describe
from api.problems import Kind
from api.requests import Request
from api.schemas import Schemas
from events.errors import OutcomeUnknown

TOO_OLD = Kind(status=409, code="thing.too_old", title=Text("Too old", "늦음"), detail=Text("Since {when}.", "{when}."))
GONE = Message(key="thing.gone", en="Thing gone", ko="없앴습니다")


class Edit(Struct, kw_only=True):
    """A merge patch."""

    title: Annotated[str, Meta(min_length=1, max_length=200, examples=["Shelf"])] | UnsetType = UNSET
    remind: Annotated[int, Meta(ge=0, le=10)] | UnsetType | None = UNSET
    kind: Literal["a", "b"] | UnsetType = UNSET


class Thing(Struct, kw_only=True):
    id: UUID
    title: str
    remind: int | None
    version: int
    at: datetime
    gone_at: datetime | None


@patch("/things/{thing_id:uuid}", guards=[signed_in], problems=[TOO_OLD])
async def edit(request: Request, thing_id: FromPath[UUID], data: JSONBody[Edit]) -> Answer[Envelope[Thing]]:
    """Change a thing. What is absent stays.

    And more about it.
    """
    raise NotImplementedError


@delete("/things/{thing_id:uuid}", status_code=200, guards=[signed_in])
async def remove(request: Request, thing_id: FromPath[UUID], data: JSONBody[Edit]) -> Answer[Envelope[None]]:
    """Remove a thing."""
    return answer(request, GONE, None)


@get("/things", guards=[signed_in, has_role("analyst")], waits=True)
async def everything() -> Answer[Envelope[list[Thing]]]:
    """List all things."""
    raise NotImplementedError


@post("/doors", guards=[signed_in], exception_handlers={OutcomeUnknown: lambda *_: Answer(b"")})
async def unkeyed() -> Answer[Envelope[Thing]]:
    """Open a door."""
    raise NotImplementedError


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe("Things", [edit, remove, everything, unkeyed], {})


def operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    return document["paths"][path][method]


def names(operation: dict[str, Any]) -> set[str]:
    return {one.get("name") or one["$ref"].rpartition("/")[2] for one in operation["parameters"]}


def codes(document: dict[str, Any], operation: dict[str, Any], status: int) -> list[str]:
    name = operation["responses"][str(status)]["$ref"].rpartition("/")[2]
    content = document["components"]["responses"][name]["content"]["application/problem+json"]
    return content["schema"]["allOf"][1]["properties"]["code"]["enum"]


def test_a_write_names_every_status_and_code_that_it_can_answer(document: dict[str, Any]) -> None:
    found = operation(document, "patch", "/things/{thing_id}")
    assert {status: codes(document, found, int(status)) for status in found["responses"] if status != "200"} == {
        "400": ["malformed"],
        "401": ["unauthenticated"],
        "404": ["not_found"],
        "409": ["conflict", "still_running", "thing.too_old"],
        "412": ["stale"],
        "413": ["too_large"],
        "415": ["unsupported_media_type"],
        "422": ["invalid", "key_reused"],
        "503": ["outcome_unknown", "unavailable"],
    }


def test_what_a_problem_narrows_has_its_type_so_that_generated_clients_keep_it(document: dict[str, Any]) -> None:
    for response in document["components"]["responses"].values():
        narrowed = response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]
        assert {name: set(schema) for name, schema in narrowed.items()} == {
            "status": {"type", "enum"},
            "code": {"type", "enum"},
        }
        assert (narrowed["status"]["type"], narrowed["code"]["type"]) == ("integer", "string")


def test_a_read_refuses_less_and_a_guard_for_a_role_shows(document: dict[str, Any]) -> None:
    found = operation(document, "get", "/things")
    assert set(found["responses"]) == {"200", "400", "401", "403", "422", "503"}
    assert codes(document, found, 503) == ["unavailable"]


def test_headers_follow_from_what_an_operation_is(document: dict[str, Any]) -> None:
    everywhere = {"Accept-Language", "X-Request-Id"}
    assert names(operation(document, "patch", "/things/{thing_id}")) == everywhere | {
        "thing_id",
        "Idempotency-Key",
        "If-Match",
    }
    assert names(operation(document, "get", "/things")) == everywhere | {"X-Min-Position"}
    assert names(operation(document, "post", "/doors")) == everywhere
    answered = {
        (method, path): set(next(iter(one["responses"].values()))["headers"])
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    always, written = {"X-Request-Id"}, {"X-Request-Id", "X-Event-Position"}
    assert answered == {
        ("patch", "/things/{thing_id}"): written | {"ETag", "Idempotency-Replayed"},
        ("delete", "/things/{thing_id}"): written | {"Idempotency-Replayed"},
        ("get", "/things"): always,
        ("post", "/doors"): written | {"ETag", "Location"},
    }


def test_who_must_sign_in_is_said_of_each_operation(document: dict[str, Any]) -> None:
    assert operation(document, "get", "/things")["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_a_merge_patch_has_optional_fields_that_may_be_null_only_where_null_means_something(
    document: dict[str, Any],
) -> None:
    schema = document["components"]["schemas"]["Edit"]
    assert schema["required"] == []
    assert schema["properties"]["title"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "examples": ["Shelf"],
    }
    assert schema["properties"]["remind"]["anyOf"] == [
        {"type": "integer", "minimum": 0, "maximum": 10},
        {"type": "null"},
    ]
    assert schema["properties"]["kind"] == {"enum": ["a", "b"]}


def test_a_delete_may_have_a_body(document: dict[str, Any]) -> None:
    found = operation(document, "delete", "/things/{thing_id}")
    assert found["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Edit"}
    assert "415" in found["responses"]


def test_formats_are_told_from_types(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["Thing"]["properties"]
    assert fields["id"] == {"type": "string", "format": "uuid"}
    assert fields["at"] == {"type": "string", "format": "date-time"}
    assert fields["gone_at"] == {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}


def test_operations_have_names_words_and_tags(document: dict[str, Any]) -> None:
    found = operation(document, "patch", "/things/{thing_id}")
    assert (found["operationId"], found["summary"], found["tags"]) == ("things_edit", "Change a thing", ["things"])
    assert found["description"].endswith("And more about it.")
    assert document["tags"] == [{"name": "doors"}, {"name": "things"}]


def test_an_example_fits_its_schema_and_says_what_the_handler_says(document: dict[str, Any]) -> None:
    content = operation(document, "delete", "/things/{thing_id}")["responses"]["200"]["content"]["application/json"]
    assert content["example"] == {"message_key": "thing.gone", "message": "Thing gone", "data": None}
    shown = operation(document, "get", "/things")["responses"]["200"]["content"]["application/json"]
    assert shown["example"]["data"][0]["title"] == "Shelf"
    for one in (content, shown):
        validator = Draft202012Validator({**one["schema"], "components": document["components"]})
        assert validator.is_valid(one["example"])


def test_lists_in_envelopes_have_names_of_their_own(document: dict[str, Any]) -> None:
    assert {"Envelope", "Envelope_Thing", "Envelope_list_Thing"} <= set(document["components"]["schemas"])


def test_two_types_of_one_name_are_refused() -> None:
    schemas = Schemas()
    schemas.of(Edit)
    with pytest.raises(ValueError, match="called Edit"):
        schemas.of(msgspec.defstruct("Edit", [("other", int)]))


def test_what_a_handler_declares_must_be_known() -> None:
    @get("/odd", wait=True)
    async def odd() -> Answer[Envelope[None]]: ...

    with pytest.raises(TypeError, match="wait"):
        describe("Odd", [odd], {})


def test_a_docstring_reads_alike_on_every_python() -> None:
    class Long(msgspec.Struct):
        name: str

    Long.__doc__ = "First.\n\n    As Python before 3.13 keeps it."
    schemas = Schemas()
    schemas.of(Long)
    assert schemas.components["Long"]["description"] == "First.\n\nAs Python before 3.13 keeps it."


async def test_the_served_description_is_whole(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {"/things", "/things/{thing_id}", "/secrets", "/fail/{how}"}
    listing = document["paths"]["/things"]["get"]
    limit = next(one for one in listing["parameters"] if one.get("name") == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    kind = next(one for one in listing["parameters"] if one.get("name") == "kind")
    assert (kind["required"], kind["schema"]) == (False, {"enum": ["a", "b"]})
    assert "Link" in listing["responses"]["200"]["headers"]
    assert_references_resolve(document, document)


def assert_references_resolve(document: dict[str, Any], part: Any) -> None:
    """Every `$ref` names something of the document."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if key == "$ref":
            _, kind, name = value.rsplit("/", 2)
            assert name in document["components"][kind]
        elif isinstance(value, dict | list):
            assert_references_resolve(document, value)
