"""A person's profile: name, locale, time zone."""

from typing import Any

import jwt
import msgspec
import pytest
from signing import Service

ME = "/users/me"


async def test_a_profile_is_changed_by_a_merge_patch_and_the_event_names_only_what_changed(auth: Service) -> None:
    token = (await auth.sign_in())["access_token"]
    before = await auth.me(token)
    assert (before.json()["data"]["name"], before.headers["etag"]) == (None, '"1"')
    patch = {"name": "김하늘", "locale": "ko", "timezone": "Asia/Seoul"}
    first = await auth.call("PATCH", ME, token, patch, content_type="application/merge-patch+json")
    assert first.status_code == 200, first.text
    assert (first.headers["etag"], first.headers["x-event-position"]) == ('"2"', "AUTH:4")
    second = await auth.call("PATCH", ME, token, {"name": "김하늘", "timezone": None})
    after = await auth.me(token)
    assert second.json()["data"] == after.json()["data"]
    assert after.json()["data"] == before.json()["data"] | {"name": "김하늘", "locale": "ko", "timezone": None}
    user_id = after.json()["data"]["id"]
    said = [msgspec.json.decode(event["data"]) for event in await auth.events("ProfileChanged")]
    assert said == [{"user_id": user_id, **patch}, {"user_id": user_id, "timezone": None}]


async def test_quiet_hours_come_and_go_together(auth: Service) -> None:
    token = (await auth.sign_in())["access_token"]
    for patch in ({"quiet_from": "22:00", "quiet_to": "07:30"}, {"quiet_to": "08:00"}):
        assert (await auth.call("PATCH", ME, token, patch)).status_code == 200
    assert (await auth.call("PATCH", ME, token, {"quiet_to": None})).status_code == 422
    kept = (await auth.me(token)).json()["data"]
    assert (kept["quiet_from"], kept["quiet_to"]) == ("22:00", "08:00")
    assert (await auth.call("PATCH", ME, token, {"quiet_from": None, "quiet_to": None})).status_code == 200
    said = [msgspec.json.decode(event["data"]) for event in await auth.events("ProfileChanged")]
    assert [event.keys() - {"user_id"} for event in said] == [
        {"quiet_from", "quiet_to"},
        {"quiet_to"},
        {"quiet_from", "quiet_to"},
    ]


async def test_a_patch_that_changes_nothing_says_nothing(auth: Service) -> None:
    token = (await auth.sign_in())["access_token"]
    for patch in ({}, {"name": None}, {"locale": None, "timezone": None}):
        answer = await auth.call("PATCH", ME, token, patch)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert await auth.events("ProfileChanged") == []


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " \t "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "Ada\nBcc: eve@example.test"}, "name"),
        ({"name": "a\u2028b"}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": 1}, "name"),
        ({"locale": "fr"}, "locale"),
        ({"locale": "KO"}, "locale"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": ""}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "localtime"}, "timezone"),
        ({"quiet_from": "22:00"}, "quiet_to"),
        ({"quiet_to": "07:00", "quiet_from": None}, "quiet_to"),
        ({"quiet_from": "07:00", "quiet_to": "07:00"}, "quiet_to"),
        ({"quiet_from": "24:00", "quiet_to": "07:00"}, "quiet_from"),
        ({"quiet_from": "22:00:00", "quiet_to": "07:00"}, "quiet_from"),
        ({"quiet_from": "22:00\n", "quiet_to": "07:00"}, "quiet_from"),
        ({"quiet_from": "22:00", "quiet_to": "07:00\n"}, "quiet_to"),
        ([], "body"),
        (None, "body"),
    ],
)
async def test_what_no_profile_can_hold_is_refused_by_name(auth: Service, patch: Any, field: str) -> None:
    token = (await auth.sign_in())["access_token"]
    content, headers = msgspec.json.encode(patch), {"authorization": f"Bearer {token}"}
    refused = await auth.http.patch(ME, content=content, headers=headers)
    assert (refused.status_code, [error["field"] for error in refused.json()["errors"]]) == (422, [field])
    assert await auth.events("ProfileChanged") == []


async def test_a_stale_if_match_changes_nothing(auth: Service) -> None:
    token = (await auth.sign_in())["access_token"]
    assert (await auth.call("PATCH", ME, token, {"name": "Ada"}, if_match='"1"')).is_success
    refused = await auth.call("PATCH", ME, token, {"name": "Eve"}, if_match='"1"')
    assert (refused.status_code, refused.json()["code"]) == (412, "stale")
    assert (await auth.me(token)).json()["data"]["name"] == "Ada"


async def test_a_repeated_patch_is_one_change_and_a_reused_key_is_refused(auth: Service) -> None:
    token = (await auth.sign_in())["access_token"]
    options = {"idempotency_key": "k", "if_match": '"1"'}
    first, again = [await auth.call("PATCH", ME, token, {"name": "Ada"}, **options) for _ in range(2)]
    assert (first.status_code, again.status_code, first.content) == (200, 200, again.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert (await auth.call("PATCH", ME, token, {"name": "Eve"}, **options)).json()["code"] == "key_reused"
    assert len(await auth.events("ProfileChanged")) == 1


async def test_later_tokens_and_letters_speak_the_chosen_language(auth: Service) -> None:
    first = await auth.sign_in()
    assert (await auth.me(first["access_token"])).json()["message"] == "User retrieved successfully"
    await auth.call("PATCH", ME, first["access_token"], {"locale": "ko"})
    later = (await auth.refresh(first["refresh_token"])).json()["data"]["access_token"]
    assert jwt.decode(later, options={"verify_signature": False})["locale"] == "ko"
    assert (await auth.me(later)).json()["message"] == "사용자를 조회했습니다"
    code = await auth.challenge()
    assert (await auth.letter(code["challenge_id"])).locale == "ko"
