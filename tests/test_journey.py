"""The whole path through the gateway: a code by mail, to-dos, activity."""

import asyncio
from functools import partial
from uuid import uuid4

import httpx
import msgspec
import pytest
from nats.js import JetStreamContext

from local.fixtures import until
from local.layout import SERVICES
from system import System, code_of

LETTER = """
==================================================
📧 EMAIL SENT (Development Mode)
==================================================
To: {address}
Subject: 🔐 Your OTP Code - Todo API
Body:
안녕하세요! 👋

Todo API에서 요청하신 OTP 코드입니다.

🔐 **OTP 코드: {code}**

⚠️ **중요 사항:**
- 이 코드는 5분 후에 만료됩니다
- 보안을 위해 다른 사람과 공유하지 마세요
- 이 코드는 한 번만 사용할 수 있습니다

문의사항이 있으시면 언제든지 연락주세요.

감사합니다! 🙏
Todo API Team
==================================================

"""


async def test_a_stranger_signs_in_works_and_finds_it_all_in_the_activity(world: System) -> None:
    async with world.person() as me:
        todo = (await me.create()).json()["data"]
        toggled = await me.http.patch(f"/todos/{todo['id']}/toggle")
        assert toggled.json()["data"]["completed"] is True
        [listed] = (await me.http.get("/todos/")).json()["data"]
        assert listed == toggled.json()["data"]
        await me.did("todo_created", "todo_toggled")
        entry = (await me.http.get("/activity/?action=todo_toggled")).json()["data"][0]
        details = {"todo_id": todo["id"], "title": "우유 사기", "priority": 3, "completed": True}
        assert entry["details"] == details


async def test_the_console_shows_the_letter_exactly(world: System) -> None:
    async with world.visitor() as someone:
        challenge = await someone.ask_for_code()
        assert code_of(await someone.letter()) == challenge["otp_code"]
        expected = LETTER.format(address=someone.email, code=challenge["otp_code"]).encode()
        await until(lambda: expected in b"".join(world.printed))


async def test_a_code_signs_in_once(world: System) -> None:
    async with world.visitor() as someone:
        challenge = await someone.ask_for_code()
        first, *others = await asyncio.gather(*(someone.verify(challenge, challenge["otp_code"]) for _ in range(8)))
        statuses = sorted(answer.status_code for answer in (first, *others))
        assert statuses == [200] + [401] * 7


async def test_the_stream_is_the_log_event_by_event(world: System) -> None:
    async with world.person() as me:
        await asyncio.gather(*(me.create(str(number)) for number in range(20)))
        await me.did(*["todo_created"] * 20)
    async with world.jetstream() as js:
        for service, feed in (("auth", "OTP"), ("auth", "AUTH"), ("todos", "TODOS"), ("mailer", "MAILER")):
            rows = await world.rows(service, "select seq, id, type from events.log where feed = $1 order by seq", feed)
            assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
            await until(partial(reached, js, feed, len(rows)))  # letters to people go out meanwhile
            for row in (row for row in rows if row["type"] != "core.Erased.v1"):  # other tests erase people
                assert (await js.get_msg(feed, row["seq"])).headers["ce-id"] == str(row["id"])


async def reached(js: JetStreamContext, feed: str, seq: int) -> bool:
    return (await js.stream_info(feed)).state.last_seq >= seq


async def test_every_event_is_archived_once_under_a_gapless_number(world: System) -> None:
    async with world.person() as me:
        await me.create()
        await me.did("todo_created")

    async def everything() -> bool:
        said = [await world.value(service, "select count(*) from events.log") for service in SERVICES]
        count, last = (await world.rows("activity", "select count(*), max(number) from archive"))[0]
        return count == last == sum(said)

    await until(everything)


async def test_a_request_can_be_followed_into_every_event_that_it_caused(world: System) -> None:
    request_id = f"journey-{uuid4()}"
    async with world.visitor() as someone:
        answer = await someone.http.post(
            "/users/request-otp", json={"email": someone.email}, headers={"X-Request-Id": request_id}
        )
        assert answer.headers["x-request-id"] == request_id
        await someone.letter()

    async def heard() -> list[str]:
        query = "select type from archive where correlation_id = $1 order by type"
        types = [row["type"] for row in await world.rows("activity", query, request_id)]
        return types if len(types) == 2 else []

    assert await until(heard) == ["auth.OtpRequested.v1", "mailer.MailSent.v1"]


async def test_a_request_is_explained_with_whoever_heard_what_came_of_it(world: System) -> None:
    async with world.person() as me:
        request = (await me.create()).headers["x-request-id"]
        await me.did("todo_created")

        async def heard_by_all() -> bool:
            answer = await me.http.get(f"/activity/explain/{request}")
            [created] = answer.raise_for_status().json()["data"]["events"]
            assert created["type"] == "todos.TodoCreated.v1"
            return {heard["by"] for heard in created["heard"]} == {"activity", "mailer", "notifier"}

        await until(heard_by_all, within=30)


async def test_a_write_can_be_read_at_once_in_the_activity(world: System) -> None:
    async with world.person() as me:
        for count in range(1, 21):
            position = (await me.create()).headers["x-event-position"]
            answer = await me.http.get("/activity/?action=todo_created&limit=50", headers={"X-Min-Position": position})
            assert len(answer.json()["data"]) == count


async def test_a_write_that_is_sent_again_happens_once(world: System) -> None:
    async with world.person() as me:
        key = {"Idempotency-Key": str(uuid4())}
        first, second = await me.create(**key), await me.create(**key)
        assert second.content == first.content
        toggle = f"/todos/{first.json()['data']['id']}/toggle"
        both = [await me.http.patch(toggle, headers=key | {"If-Match": '"1"'}) for _ in range(2)]
        assert both[0].content == both[1].content
        await me.did("todo_created", "todo_toggled")


async def test_nobody_sees_what_is_anothers(world: System) -> None:
    async with world.person() as me, world.person() as other:
        location = (await me.create()).headers["location"]
        assert (await other.http.get(location)).status_code == 404
        assert (await other.http.patch(f"{location}/toggle")).status_code == 404
        assert (await other.http.get("/todos/")).json()["data"] == []
        await other.did()


async def test_a_session_ends_with_its_logout(world: System) -> None:
    async with world.visitor() as someone:
        session = await someone.sign_in()
        answer = await someone.http.post("/users/logout", json={"refresh_token": session["refresh_token"]})
        assert answer.status_code == 200, answer.text
        refused = await someone.http.post("/users/refresh", json={"refresh_token": session["refresh_token"]})
        assert refused.status_code == 401
        await someone.did("user_signed_out")


async def test_a_token_is_valid_for_ten_minutes(world: System) -> None:
    async with world.person() as me:
        with world.later(601):
            assert (await me.http.get("/todos/")).status_code == 401
            assert (await me.http.get("/activity/")).status_code == 401
        assert (await me.http.get("/todos/")).status_code == 200


REFUSED = [
    ("POST", "/todos/", b"{", {}, 400, "malformed"),
    ("POST", "/todos/", b'{"title":""}', {}, 422, "invalid"),
    ("POST", "/todos/", b'{"title":"a\\u0000"}', {}, 422, "invalid"),
    (
        "POST",
        "/todos/",
        b"title=a",
        {"Content-Type": "application/x-www-form-urlencoded"},
        415,
        "unsupported_media_type",
    ),
    ("POST", "/todos/", b'{"title":"' + b"a" * 70_000 + b'"}', {}, 413, "too_large"),
    ("POST", "/todos/", b'{"title":"a"}', {"Idempotency-Key": "a b"}, 422, "invalid"),
    ("PUT", "/todos/", b"{}", {}, 405, "method_not_allowed"),
    ("GET", "/todos/1", b"", {}, 404, "not_found"),
    ("GET", "/todos/?limit=0", b"", {}, 422, "invalid"),
    ("GET", "/todos/?cursor=%00", b"", {}, 422, "invalid"),
    ("GET", "/activity/?action=flew", b"", {}, 422, "invalid"),
    ("GET", "/activity/", b"", {"X-Min-Position": "here"}, 400, "malformed"),
    ("GET", "/activity/", b"", {"Authorization": "Bearer x.y.z"}, 401, "unauthenticated"),
    ("GET", "/nowhere", b"", {}, 404, "not_found"),
    ("GET", "/healthz/ready", b"", {}, 404, "not_found"),
    ("GET", "/metrics", b"", {}, 404, "not_found"),
    ("POST", "/users/request-otp", b'{"email":"nobody"}', {}, 422, "invalid"),
    ("POST", "/users/request-otp", b"[" * 5000, {}, 400, "malformed"),
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: f"{refused[0]} {refused[1]} {refused[4]}")
async def test_what_cannot_be_done_is_a_problem_in_the_language_of_the_person(
    world: System, refused: tuple[str, str, bytes, dict[str, str], int, str]
) -> None:
    method, path, content, headers, status, code = refused
    async with world.person() as me:
        request_id = f"refused-{uuid4()}"
        sent = {"Content-Type": "application/json", "Accept-Language": "ko", "X-Request-Id": request_id, **headers}
        answer = await me.http.request(method, path, content=content, headers=sent)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["x-request-id"] == problem["request_id"] == request_id
    assert any("가" <= letter <= "힣" for letter in problem["title"])


async def test_every_service_describes_itself(world: System) -> None:
    async with httpx.AsyncClient(base_url=world.stack.gateway) as http:
        for service in ("auth", "todos", "activity"):
            document = (await http.get(f"/openapi/{service}.json")).json()
            assert document["openapi"].startswith("3.1")
            assert document["paths"]


async def test_no_log_and_no_event_holds_an_address(world: System) -> None:
    async with world.person() as me:
        await me.create()
        await me.did("todo_created")
        address = me.email
    for log in (world.stack.layout.logs).glob("*.log"):
        assert address not in log.read_text(errors="replace")
    for service in ("auth", "todos", "mailer"):
        for row in await world.rows(service, "select data from events.log"):
            assert address not in msgspec.json.encode(row["data"]).decode()
