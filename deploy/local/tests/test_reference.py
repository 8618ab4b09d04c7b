"""Documents of several services as one."""

from typing import Any

import pytest

from local.reference import merged


def document(title: str, path: str, *, operation: str, thing: dict[str, Any]) -> dict[str, Any]:
    schemas = {"Thing": thing, "Box": {"items": {"$ref": "#/components/schemas/Thing"}}, "Same": {"type": "null"}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Box"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": "/"}],
        "tags": [{"name": title}],
        "paths": {path: {"get": {"operationId": operation, "responses": {"200": {"content": content}}}}},
        "components": {"schemas": schemas},
    }


A = document("a", "/a", operation="a_get", thing={"title": "Thing", "type": "string"})
B = document("b", "/b", operation="b_get", thing={"title": "Thing", "type": "integer"})


def test_what_bears_one_name_and_differs_is_named_after_its_service_with_all_that_refers_to_it() -> None:
    both = merged({"a": A, "b": B})
    schemas = both["components"]["schemas"]
    assert set(schemas) == {"Same", "a_Thing", "b_Thing", "a_Box", "b_Box"}
    assert schemas["b_Box"] == {"items": {"$ref": "#/components/schemas/b_Thing"}}
    assert schemas["b_Thing"]["title"] == "b_Thing"
    content = both["paths"]["/b"]["get"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/b_Box"}


def test_what_is_the_same_in_both_is_there_once() -> None:
    same = document("c", "/c", operation="c_get", thing={"title": "Thing", "type": "string"})
    assert set(merged({"a": A, "c": same})["components"]["schemas"]) == {"Thing", "Box", "Same"}


@pytest.mark.parametrize(("path", "operation"), [("/a", "other"), ("/other", "a_get")])
def test_two_services_with_one_path_or_one_operation_are_refused(path: str, operation: str) -> None:
    with pytest.raises(ValueError, match="another service"):
        merged({"a": A, "d": document("d", path, operation=operation, thing={"type": "string"})})
