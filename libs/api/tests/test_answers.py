"""What clients may rely on in every success answer."""

import re
from uuid import UUID

import httpx
import pytest

from api.messages import Text, preferred
from api.testing import People


async def test_a_write_answers_with_the_envelope_and_its_headers(client: httpx.AsyncClient, me: dict[str, str]) -> None:
    answer = await client.post("/things", json={"title": "milk"}, headers=me)
    assert answer.status_code == 201
    assert answer.json() == {
        "message_key": "thing.saved",
        "message": "Thing saved",
        "data": {"title": "milk", "priority": 3, "owner": None, "tags": []},
    }
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == "/things/1"
    assert answer.headers["x-event-position"] == "THINGS:7"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/things", "/things/"])
async def test_a_path_works_with_and_without_a_trailing_slash(
    client: httpx.AsyncClient, me: dict[str, str], path: str
) -> None:
    assert (await client.get(path)).status_code == 200
    assert (await client.post(path, json={"title": "milk"}, headers=me)).status_code == 201


async def test_a_list_links_to_its_next_page_with_the_same_filters(client: httpx.AsyncClient) -> None:
    first = await client.get("/things", params={"limit": 2, "kind": "a"})
    assert first.json()["data"] == ["a-0", "a-1"]
    link = re.fullmatch(r'<(.+)>; rel="next"', first.headers["link"])
    assert link
    second = await client.get(link[1])
    assert second.json()["data"] == ["a-2", "a-3"]
    by_cursor = await client.get("/things", params={"limit": 2, "kind": "a", "cursor": first.json()["next_cursor"]})
    assert by_cursor.json() == second.json()


async def test_empty_parameters_count_as_absent(client: httpx.AsyncClient) -> None:
    answer = await client.get("/things?limit=&kind=&cursor=")
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 20
    assert (await client.get("/things?kind=&limit=2&cursor=")).json()["data"] == ["None-0", "None-1"]


async def test_a_value_that_ends_like_an_empty_one_is_not_dropped(client: httpx.AsyncClient) -> None:
    for padded in ("cursor=NQ==&limit=1", "limit=1&cursor=NQ=="):
        assert (await client.get(f"/things?{padded}")).json()["data"] == ["None-5"]


async def test_head_is_get_without_its_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/things")
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["content-length"]) > 0


async def test_a_sane_request_id_is_kept_and_another_replaced(client: httpx.AsyncClient) -> None:
    assert (await client.get("/things", headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
    made = (await client.get("/things", headers={"x-request-id": 'a "b" c'})).headers
    assert UUID(made["x-request-id"]).version == 7
    assert UUID((await client.get("/nowhere")).headers["x-request-id"]).version == 7


async def test_the_language_is_the_requests_then_the_persons_then_english(
    client: httpx.AsyncClient, people: People
) -> None:
    async def message(**headers: str) -> str:
        answer = await client.post("/things", json={"title": "milk"}, headers=headers)
        return str(answer.json()["message"])

    korean, undecided = people.token(UUID(int=1), locale="ko"), people.token(UUID(int=1))
    assert await message(authorization=f"Bearer {undecided}") == "Thing saved"
    assert await message(authorization=f"Bearer {korean}") == "저장했습니다"
    assert await message(authorization=f"Bearer {korean}", **{"accept-language": "en-GB"}) == "Thing saved"
    assert await message(authorization=f"Bearer {korean}", **{"accept-language": "fr, *;q=0.1"}) == "저장했습니다"


@pytest.mark.parametrize(
    ("wanted", "locale"),
    [
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en;q=0.2, ko;q=0.4", "ko"),
        ("ko;q=0, en", "en"),
        ("de", None),
        ("", None),
        ("ko;q=x", None),
        ("en;q=nan", None),
        (",;,;q=", None),
    ],
)
def test_the_best_of_our_languages_is_chosen(wanted: str, locale: str | None) -> None:
    assert preferred(wanted) == locale


def test_a_missing_translation_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="missing"):
        Text(en="Hello", ko="")
    with pytest.raises(ValueError, match="placeholders"):
        Text(en="Hello {name}", ko="안녕하세요 {nmae}")


async def test_a_browser_of_an_allowed_origin_may_read_the_headers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/things", headers={"origin": "https://app.test"})
    assert answer.headers["access-control-allow-origin"] == "https://app.test"
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"etag", "location", "link", "x-request-id", "x-event-position"} <= exposed
    stranger = await client.get("/things", headers={"origin": "https://evil.test"})
    assert "access-control-allow-origin" not in stranger.headers
    asked = {"origin": "https://app.test", "access-control-request-method": "POST"}
    preflight = await client.options("/things", headers={**asked, "access-control-request-headers": "idempotency-key"})
    assert preflight.status_code == 204
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"].lower()
