"""Whatever comes in, a problem goes out: never a trace, never a 500 for an input."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog

JSON = {"content-type": "application/json"}


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is a whole RFC 9457 problem of this code; returns it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"urn:problem:{code}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/things/no-uuid", 404, "not_found"),
        ("GET", "/things/%F0%28%8C", 404, "not_found"),
        ("DELETE", "/things", 405, "method_not_allowed"),
        ("GET", "/things?limit=0", 422, "invalid"),
        ("GET", "/things?limit=101", 422, "invalid"),
        ("GET", "/things?limit=abc", 422, "invalid"),
        ("GET", "/things?limit=" + "9" * 5000, 422, "invalid"),
        ("GET", "/things?kind=z", 422, "invalid"),
        ("GET", "/things?cursor=%F0%28", 400, "malformed"),
        ("GET", "/things?cursor=bm90LWpzb24", 400, "malformed"),
        ("GET", "/things?cursor=ImEi", 400, "malformed"),
        ("GET", "/things?cursor=" + "A" * 600, 422, "invalid"),
        ("GET", "/things?kind=a%00", 422, "invalid"),
        ("GET", "/thi%00ngs", 422, "invalid"),
        ("GET", "/fail/conflict", 409, "conflict"),
        ("GET", "/fail/reused", 422, "key_reused"),
        ("GET", "/fail/overloaded", 503, "unavailable"),
        ("GET", "/fail/unknown", 503, "outcome_unknown"),
        ("GET", "/fail/away", 503, "unavailable"),
        ("GET", "/fail/refused", 503, "unavailable"),
        ("GET", "/fail/nul", 422, "invalid"),
    ],
)
async def test_each_refusal_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    assert_problem(await client.request(method, path), status, code)


async def test_what_comes_back_later_says_when(client: httpx.AsyncClient) -> None:
    assert (await client.get("/fail/overloaded")).headers["retry-after"] == "3"
    for how in ("unknown", "away", "refused"):
        assert int((await client.get(f"/fail/{how}")).headers["retry-after"]) >= 1


async def test_a_stale_condition_is_told_from_a_conflict(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/fail/conflict", headers={"if-match": '"1"'}), 412, "stale")
    path = f"/things/{uuid4()}"
    assert_problem(await client.put(path, headers={"if-match": '"2"'}), 412, "stale")
    for matching in ('"3"', '"1", "3"', "*"):
        assert (await client.put(path, headers={"if-match": matching})).status_code == 200
    assert (await client.put(path)).headers["etag"] == '"4"'


async def test_a_wrong_method_names_the_right_ones(client: httpx.AsyncClient) -> None:
    allowed = (await client.delete("/things")).headers["allow"]
    assert {"GET", "POST"} <= {method.strip() for method in allowed.split(",")}


async def test_a_bug_answers_without_its_details_and_is_logged_with_its_place(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answer = await client.get("/fail/bug")
    problem = assert_problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert [(line["failure"], line["request_id"]) for line in logs] == [("RuntimeError", problem["request_id"])]
    assert "raise FAILURES[how]" in logs[0]["where"]
    assert "a secret detail" not in str(logs), "a message may quote an address or a code"


async def test_every_bad_field_is_named(client: httpx.AsyncClient, me: dict[str, str]) -> None:
    bad = {"title": "", "priority": 9, "owner": "me", "tags": ["a", 1]}
    problem = assert_problem(await client.post("/things", json=bad, headers=me), 422, "invalid")
    assert {error["field"]: error["code"] for error in problem["errors"]} == {
        "title": "empty",
        "priority": "too_large",
        "owner": "not_a_uuid",
        "tags.1": "wrong_type",
    }


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "title", "required"),
        ({"title": "x" * 201}, "title", "too_long"),
        ({"title": None}, "title", "wrong_type"),
        ({"title": 1}, "title", "wrong_type"),
        ({"title": "x", "priority": 0}, "priority", "too_small"),
        ({"title": "x", "priority": "1"}, "priority", "wrong_type"),
        ({"title": "x", "priority": True}, "priority", "wrong_type"),
        ({"title": "x", "priority": 1.5}, "priority", "wrong_type"),
        ({"title": "x", "priority": 10**400}, "priority", "too_large"),
        ({"title": "a\0b"}, "title", "nul"),
        ({"title": "x", "tags": ["fine", "a\0b"]}, "tags.1", "nul"),
        ([], "body", "wrong_type"),
        ("text", "body", "wrong_type"),
        (None, "body", "wrong_type"),
    ],
)
async def test_a_bad_field_is_named_with_its_reason(
    client: httpx.AsyncClient, me: dict[str, str], body: object, field: str, code: str
) -> None:
    answer = await client.post("/things", content=json.dumps(body), headers={**JSON, **me})
    problem = assert_problem(answer, 422, "invalid")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"title": "\xff"}',
        b'{"title": "\\ud800"}',
        b'{"title": NaN}',
        b'{"title": "x"} x',
        b"\xef\xbb\xbf{}",
        b"[" * 60_000,
        b'{"title": "x", "more": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
)
async def test_what_is_no_json_is_malformed(client: httpx.AsyncClient, me: dict[str, str], body: bytes) -> None:
    assert_problem(await client.post("/things", content=body, headers={**JSON, **me}), 400, "malformed")


async def test_a_body_deep_and_with_nul_is_refused_too(client: httpx.AsyncClient, me: dict[str, str]) -> None:
    body = b'{"title": "x", "more": ' + b"[" * 500 + b'"\\u0000"' + b"]" * 500 + b"}"
    assert_problem(await client.post("/things", content=body, headers={**JSON, **me}), 422, "invalid")


async def test_u0000_in_a_parameter_is_named(client: httpx.AsyncClient) -> None:
    """Whether or not the parameter's own type would refuse it."""
    problem = assert_problem(await client.get("/things?kind=a%00&limit=2"), 422, "invalid")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("kind", "nul")]


async def test_an_escaped_backslash_before_u0000_is_no_nul(client: httpx.AsyncClient, me: dict[str, str]) -> None:
    answer = await client.post("/things", content=rb'{"title": "\\u0000"}', headers={**JSON, **me})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=euc-kr"]
)
async def test_what_is_not_sent_as_json_is_refused(client: httpx.AsyncClient, me: dict[str, str], kind: str) -> None:
    answer = await client.post("/things", content=b'{"title": "x"}', headers={**me, "content-type": kind})
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.x+json"])
async def test_json_by_any_of_its_names_is_taken(client: httpx.AsyncClient, me: dict[str, str], kind: str) -> None:
    answer = await client.post("/things", content=b'{"title": "x"}', headers={**me, "content-type": kind})
    assert answer.status_code == 201


async def test_a_body_too_large_is_refused_announced_or_not(client: httpx.AsyncClient, me: dict[str, str]) -> None:
    large = b'{"title": "' + b"x" * 70_000 + b'"}'
    assert_problem(await client.post("/things", content=large, headers={**JSON, **me}), 413, "too_large")

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 8_000):
            yield large[start : start + 8_000]

    assert_problem(await client.post("/things", content=chunks(), headers={**JSON, **me}), 413, "too_large")


async def test_problems_speak_the_clients_language(client: httpx.AsyncClient, me: dict[str, str]) -> None:
    korean = {**me, "accept-language": "ko"}
    problem = (await client.post("/things", json={"title": ""}, headers=korean)).json()
    assert problem["title"] == "입력값이 올바르지 않습니다"
    assert problem["errors"][0]["message"] == "비워 둘 수 없습니다"
    assert "JSON" in (await client.post("/things", content=b"{", headers={**korean, **JSON})).json()["detail"]
    assert (await client.get("/nowhere", headers=korean)).json()["title"] == "찾을 수 없습니다"


async def test_several_bad_parameters_are_all_named(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.get("/things?limit=0&kind=z"), 422, "invalid")
    assert {error["field"] for error in problem["errors"]} == {"limit", "kind"}


async def test_headers_sent_twice_break_nothing(client: httpx.AsyncClient, me: dict[str, str]) -> None:
    twice = [*me.items(), *me.items(), ("accept-language", "ko"), ("accept-language", "en"), ("x-request-id", "a")]
    answer = await client.post("/things", json={"title": "x"}, headers=[*twice, ("x-request-id", "b")])
    assert answer.status_code == 201
    assert (await client.get("/things?limit=1&limit=2")).status_code in {200, 422}
