"""A person's own sessions: seen, ended one by one, ended but for the present one."""

import asyncio
import base64
from collections import Counter
from uuid import UUID, uuid4

import msgspec
import pytest
from signing import Service

from auth.account import device_of

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 20_0 like Mac OS X)"


async def listed(auth: Service, token: str, query: str = "") -> list[dict[str, object]]:
    answer = await auth.call("GET", f"/users/me/sessions{query}", token)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def sid(signed_in: dict[str, str]) -> str:
    return str(UUID(bytes=base64.urlsafe_b64decode(signed_in["refresh_token"].partition(".")[2][:24])[:16]))


async def test_a_person_sees_their_open_sessions_newest_first_with_device_and_last_use(auth: Service) -> None:
    phone = await auth.sign_in(**{"user-agent": PHONE})
    auth.clock.move(minutes=1)
    laptop = await auth.sign_in(**{"user-agent": "Firefox/150"})
    await auth.sign_in("eve@example.test")
    auth.clock.move(minutes=1)
    await auth.refresh(phone["refresh_token"])
    second, first = await listed(auth, laptop["access_token"])
    assert [(each["device"], each["current"]) for each in (second, first)] == [("Firefox/150", True), (PHONE, False)]
    assert set(first) == {"id", "device", "created_at", "last_used_at", "current"}
    assert first["created_at"] < second["created_at"] == second["last_used_at"] < first["last_used_at"]


async def test_sessions_come_in_pages(auth: Service) -> None:
    tokens = [(await auth.sign_in())["access_token"] for _ in range(5)]
    seen, path = [], "/users/me/sessions?limit=2"
    while path:
        answer = await auth.call("GET", path, tokens[0])
        seen += [each["id"] for each in answer.json()["data"]]
        cursor = answer.json()["next_cursor"]
        assert ("link" in answer.headers) == bool(cursor)
        path = cursor and f"/users/me/sessions?limit=2&cursor={cursor}"
    assert len(seen) == len(set(seen)) == 5
    assert (await auth.call("GET", "/users/me/sessions?limit=101", tokens[0])).status_code == 422
    assert (await auth.call("GET", "/users/me/sessions?cursor=nonsense", tokens[0])).status_code == 400


async def test_a_revoked_session_is_over_and_the_others_go_on(auth: Service) -> None:
    here, lost = await auth.sign_in(), await auth.sign_in()
    revoked = await auth.call("DELETE", f"/users/me/sessions/{sid(lost)}", here["access_token"])
    assert (revoked.status_code, revoked.json()["data"]) == (200, None)
    assert (revoked.headers["x-event-position"], revoked.headers["etag"]) == ("AUTH:6", '"2"')
    refused = await auth.refresh(lost["refresh_token"])
    assert (refused.status_code, refused.json()["code"]) == (401, "refresh.invalid")
    for method, path in (("GET", "/users/me"), ("GET", "/users/me/sessions"), ("DELETE", "/users/me/sessions")):
        assert (await auth.call(method, path, lost["access_token"])).status_code == 401
    assert [each["id"] for each in await listed(auth, here["access_token"])] == [sid(here)]
    assert (await auth.refresh(here["refresh_token"])).is_success
    [out] = await auth.events("UserSignedOut")
    data = msgspec.json.decode(out["data"])
    assert data == {"user_id": here["user"]["id"], "session_id": sid(lost), "reason": "revoked"}


async def test_a_session_is_revoked_once_however_often_it_is_asked(auth: Service) -> None:
    here, lost = await auth.sign_in(), await auth.sign_in()
    path = f"/users/me/sessions/{sid(lost)}"
    answers = await asyncio.gather(*(auth.call("DELETE", path, here["access_token"]) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert Counter(await auth.said())["UserSignedOut"] == 1


async def test_nobody_revokes_what_is_anothers_or_nowhere(auth: Service) -> None:
    ada, eve = await auth.sign_in(), await auth.sign_in("eve@example.test")
    for other in (sid(ada), str(uuid4()), "no-uuid"):
        refused = await auth.call("DELETE", f"/users/me/sessions/{other}", eve["access_token"])
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert (await auth.refresh(ada["refresh_token"])).is_success


async def test_all_other_sessions_end_in_one_command_and_nobody_elses(auth: Service) -> None:
    here, *others = [await auth.sign_in() for _ in range(4)]
    eve = await auth.sign_in("eve@example.test")
    ended = await auth.call("DELETE", "/users/me/sessions", here["access_token"])
    assert (ended.status_code, ended.json()["data"]) == (200, {"revoked": 3})
    assert [(await auth.refresh(each["refresh_token"])).status_code for each in others] == [401] * 3
    assert (await auth.refresh(here["refresh_token"])).is_success
    assert (await auth.refresh(eve["refresh_token"])).is_success
    outs = await auth.events("UserSignedOut")
    assert len({out["command_id"] for out in outs}) == 1
    again = await auth.call("DELETE", "/users/me/sessions", here["access_token"])
    assert again.json()["data"] == {"revoked": 0}


async def test_sessions_that_ran_out_are_not_ended_once_more(auth: Service) -> None:
    await auth.sign_in()
    auth.clock.move(days=31)
    here = (await auth.sign_in())["access_token"]
    assert len((await auth.call("GET", "/users/me/sessions", here)).json()["data"]) == 1
    assert (await auth.call("DELETE", "/users/me/sessions", here)).json()["data"] == {"revoked": 0}
    assert await auth.events("UserSignedOut") == []


async def test_a_session_that_ends_itself_hears_the_first_answer_again_by_its_key(auth: Service) -> None:
    """What refuses the repeat is what its first try did."""
    here = await auth.sign_in()
    path = f"/users/me/sessions/{sid(here)}"
    first, again = [await auth.call("DELETE", path, here["access_token"], idempotency_key="k") for _ in range(2)]
    assert (first.status_code, again.status_code, first.content) == (200, 200, again.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert (await auth.call("DELETE", path, here["access_token"])).status_code == 401


async def test_a_repeat_by_its_key_ends_no_session_that_came_later(auth: Service) -> None:
    here, _ = await auth.sign_in(), await auth.sign_in()
    first = await auth.call("DELETE", "/users/me/sessions", here["access_token"], idempotency_key="k")
    later = await auth.sign_in()
    again = await auth.call("DELETE", "/users/me/sessions", here["access_token"], idempotency_key="k")
    assert first.json()["data"] == again.json()["data"] == {"revoked": 1}
    assert (await auth.refresh(later["refresh_token"])).is_success


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (None, None),
        ("", None),
        ("  \t ", None),
        ("curl/8.0", "curl/8.0"),
        ("one\ttwo\x1b[31m three", "one two [31m three"),
        ("할 일 앱/1.0".encode().decode("latin-1"), "할 일 앱/1.0"),
        ("a\u202eb".encode().decode("latin-1"), "a b"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_device_is_visible_text_of_bounded_length(user_agent: str | None, device: str | None) -> None:
    assert device_of(user_agent) == device
