"""Leaving: a fresh code deletes the account, and nothing of it is inherited by the next one at the address."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import asyncpg
import httpx
import pytest
from signing import ADA, Service, appends_held_up, running, wrong

from api.testing import weighed
from events.erasure import Tombstones
from local.fixtures import Database, DatabaseFactory, until


@pytest.fixture
def database_of_auth(database: DatabaseFactory) -> Database:
    return database("auth")


@pytest.fixture
async def auth(database_of_auth: Database) -> AsyncIterator[Service]:
    async with running(database_of_auth.url) as service:
        yield service


async def leave(auth: Service, session: dict[str, str], answer: dict[str, str]) -> httpx.Response:
    body = {name: answer[name] for name in ("challenge_id", "otp_code")}
    return await auth.http.request("DELETE", "/users/me", json=body, headers=bearer(session))


def bearer(session: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {session['access_token']}"}


async def test_a_fresh_code_deletes_the_account_and_ends_every_session(auth: Service) -> None:
    one, two = await auth.sign_in(), await auth.sign_in()
    left = await leave(auth, one, await auth.challenge())
    assert (left.status_code, left.json()["message_key"], left.json()["data"]) == (200, "user.erased", None)
    assert left.headers["x-event-position"] == f"AUTH:{len(await auth.said())}"
    for session in (one, two):
        assert (await auth.me(session["access_token"])).status_code == 401
        assert (await auth.logout(session["access_token"])).status_code == 401
        assert (await auth.refresh(session["refresh_token"])).status_code == 401
    for table in ("account", "session", "challenge", "streak"):
        assert await auth.pool.fetchval(f"select count(*) from {table}") == 0
    [said] = await auth.events("UserErased")
    assert (str(said["subject"]), str(said["aggregate"])) == (one["user"]["id"], one["user"]["id"])
    assert auth.woken == ["eraser"]


@pytest.mark.parametrize("kind", ["wrong", "used", "another's", "unknown"])
async def test_any_other_code_is_refused_as_at_signing_in_and_counted(auth: Service, kind: str) -> None:
    mine = await auth.challenge()
    session = (await auth.answer(mine)).json()["data"]
    fresh = await auth.challenge()
    answer = {
        "wrong": wrong(fresh),
        "used": mine,
        "another's": await auth.challenge("eve@example.test"),
        "unknown": fresh | {"challenge_id": session["user"]["id"]},
    }[kind]
    refused = await leave(auth, session, answer)
    assert (refused.status_code, refused.json()["code"]) == (401, "otp.invalid")
    assert (await auth.me(session["access_token"])).status_code == 200
    if kind == "wrong":
        assert await auth.pool.fetchval("select guesses from challenge where id = $1", fresh["challenge_id"]) == 1


async def test_a_dead_code_deletes_nothing(auth: Service) -> None:
    session, fresh = await auth.sign_in(), await auth.challenge()
    for _ in range(5):
        assert (await leave(auth, session, wrong(fresh))).status_code == 401
    assert (await leave(auth, session, fresh)).status_code == 401
    assert (await auth.me(session["access_token"])).status_code == 200


async def test_a_known_device_leaves_while_strangers_guesses_lock_the_address(database_of_auth: Database) -> None:
    async with running(database_of_auth.url, LOCK_AFTER="10") as auth:
        session = await auth.sign_in()
        for guessed in (await auth.challenge(), await auth.challenge()):
            for _ in range(5):
                await auth.answer(wrong(guessed))
        device = {"device_token": session["device_token"]}
        asked = (await auth.ask(**device)).json()["data"]
        code = (await auth.letter(asked["challenge_id"])).code
        body = {"challenge_id": asked["challenge_id"], "otp_code": code}
        refused = await auth.call("DELETE", "/users/me", session["access_token"], body)
        assert (refused.status_code, refused.json()["code"]) == (429, "otp.locked")
        left = await auth.call("DELETE", "/users/me", session["access_token"], body | device)
        assert left.status_code == 200


async def test_an_address_registers_anew_under_a_new_id_and_inherits_nothing(auth: Service) -> None:
    before = await auth.sign_in()
    await leave(auth, before, await auth.challenge())
    after = await auth.sign_in()
    assert after["user"]["id"] != before["user"]["id"]
    assert (await auth.said())[-2:] == ["UserRegistered", "UserSignedIn"]
    assert (await auth.me(before["access_token"])).status_code == 401
    assert (await auth.me(after["access_token"])).json()["data"]["email"] == ADA


async def test_of_two_deletions_at_once_one_is_told(auth: Service) -> None:
    session, fresh = await auth.sign_in(), await auth.challenge()
    answers = await asyncio.gather(*(leave(auth, session, fresh) for _ in range(10)))
    assert [answer.status_code for answer in answers].count(200) == 1
    assert {answer.status_code for answer in answers} == {200, 401}
    assert len(await auth.events("UserErased")) == 1


async def test_who_leaves_while_something_else_changes_leaves(database_of_auth: Database, auth: Service) -> None:
    session, fresh = await auth.sign_in(), await auth.challenge()
    async with appends_held_up(database_of_auth.owner_url):
        changing = asyncio.create_task(auth.call("PATCH", "/users/me", session["access_token"], {"name": "Ada"}))
        await until(lambda: auth.pool.fetchval("select exists (select from pg_locks where not granted)"))
        leaving = asyncio.create_task(leave(auth, session, fresh))
        await until(
            lambda: auth.pool.fetchval("select guesses = 1 from challenge where id = $1", fresh["challenge_id"])
        )
        await asyncio.sleep(0.3)  # it waits behind the change
    assert (await changing).status_code == 200
    assert (await leaving).status_code == 200


async def test_who_signs_in_while_the_account_is_deleted_is_told_that_the_code_is_over(
    database_of_auth: Database, auth: Service
) -> None:
    session, fresh, other = await auth.sign_in(), await auth.challenge(), await auth.challenge()
    async with appends_held_up(database_of_auth.owner_url):
        leaving = asyncio.create_task(leave(auth, session, fresh))
        await until(lambda: auth.pool.fetchval("select exists (select from pg_locks where not granted)"))
        answering = asyncio.create_task(auth.answer(other))
        await until(
            lambda: auth.pool.fetchval("select guesses = 1 from challenge where id = $1", other["challenge_id"])
        )
        await asyncio.sleep(0.3)  # it waits behind the deletion
    assert (await leaving).status_code == 200
    refused = await answering
    assert (refused.status_code, refused.json()["code"]) == (401, "otp.invalid")
    assert await auth.pool.fetchval("select count(*) from account") == 0


async def test_nobody_leaves_without_a_token(auth: Service) -> None:
    body = {"challenge_id": (await auth.challenge())["challenge_id"], "otp_code": "000000"}
    assert (await auth.http.request("DELETE", "/users/me", json=body)).status_code == 401


async def test_another_replica_refuses_the_token_of_an_erased_person(database_of_auth: Database, auth: Service) -> None:
    session = await auth.sign_in()
    await leave(auth, session, await auth.challenge())
    async with asyncpg.create_pool(database_of_auth.url, min_size=0) as pool:
        stones = Tombstones(pool)
        task = asyncio.create_task(stones.run())
        await until(lambda: UUID(session["user"]["id"]) in stones)
        task.cancel()


TITLE = "우유" * 1000
LONG = 12_000
"""So many of these titles are more than 64 MiB."""


@asynccontextmanager
async def part(
    status: int = 200, *, todos: int = 1, missing: int = 0, says: bool = True
) -> AsyncIterator[tuple[str, list[str]]]:
    """Another service's export of so many titles, so many bytes of it missing: where it is, and whose tokens it saw.

    `says`: that this is what it is.
    """
    seen: list[str] = []
    each = b', "' + TITLE.encode() + b'"'
    name = b"data" if says else b"date"
    first, last = b'{"message": "\\"data\\": {", "%b": {"todos": [%b' % (name, each[2:]), b"]}}"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.extend(line.partition(": ")[2] for line in head.splitlines() if line.lower().startswith("authorization"))
        size = len(first) + (todos - 1) * len(each) + len(last)
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n".encode() + first)
        with suppress(ConnectionError):  # auth may have enough
            for _ in range(todos - 1):
                writer.write(each)
                await writer.drain()
            writer.write(last[: len(last) - missing])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/export", seen


async def exported(url: str, database: Database) -> tuple[httpx.Response, dict[str, str]]:
    async with running(database.url, EXPORT_URLS=f"todos={url}" if url else "") as auth:
        session = await auth.sign_in()
        return await auth.http.get("/users/me/export", headers=bearer(session)), session


async def test_everything_is_exported_as_one_document_with_the_persons_own_token(
    database_of_auth: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")  # a token goes to our own services alone
    async with part() as (url, seen):
        answer, session = await exported(url, database_of_auth)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    services = answer.json()["data"]["services"]
    assert services["todos"] == {"todos": [TITLE]}
    assert services["auth"]["account"]["email"] == ADA
    assert [event["type"].split(".")[1] for event in services["auth"]["events"]][-1] == "UserSignedIn"
    assert len(services["auth"]["sessions"]) == 1
    assert "refresh_hash" not in answer.text
    assert seen == [bearer(session)["authorization"]]


@pytest.mark.parametrize("kind", ["away", "broken", "cut", "not set up", "something else"])
async def test_where_a_part_is_missing_there_is_no_half_document(database_of_auth: Database, kind: str) -> None:
    async with part(500 if kind == "broken" else 200, missing=kind == "cut", says=kind != "something else") as (url, _):
        place = {"away": "http://127.0.0.1:1/export", "not set up": ""}.get(kind, url)
        answer, _ = await exported(place, database_of_auth)
    assert (answer.status_code, answer.json()["code"]) == (503, "export.incomplete")
    assert int(answer.headers["retry-after"]) > 0
    assert "services" not in answer.text


async def test_whoever_asked_again_through_another_process_is_told_so_and_not_to_retry(
    database_of_auth: Database,
) -> None:
    async with part(409) as (url, _):
        answer, _ = await exported(url, database_of_auth)
    assert (answer.status_code, answer.json()["code"]) == (409, "asked_again")
    assert "retry-after" not in answer.headers


async def test_given_a_part_that_breaks_off_when_much_of_it_is_passed_on_then_the_client_sees_that_it_is_cut(
    database_of_auth: Database,
) -> None:
    async with (
        part(todos=200, missing=1) as (url, _),
        running(database_of_auth.url, EXPORT_URLS=f"todos={url}") as auth,
    ):
        session = await auth.sign_in()
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await auth.http.get("/users/me/export", headers=bearer(session))


async def test_given_a_person_who_leaves_meanwhile_when_they_export_then_they_see_that_it_is_not_whole(
    database_of_auth: Database,
) -> None:
    async with part(todos=LONG) as (url, _), running(database_of_auth.url, EXPORT_URLS=f"todos={url}") as auth:
        session, fresh = await auth.sign_in(), await auth.challenge()
        async with auth.http.stream("GET", "/users/me/export", headers=bearer(session)) as answer:
            assert answer.status_code == 200
            assert (await leave(auth, session, fresh)).status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await answer.aread()


async def test_given_a_part_of_more_than_memory_is_for_when_a_person_exports_then_it_comes_whole_and_in_little_memory(
    database_of_auth: Database,
) -> None:
    async with part(todos=LONG) as (url, _), running(database_of_auth.url, EXPORT_URLS=f"todos={url}") as auth:
        found = await weighed(auth.http, "/users/me/export", bearer(await auth.sign_in()))
    assert found.status == 200
    assert found.size > 64 * 1024 * 1024
    assert found.end == b"}}}"
    assert found.peak < 4_000_000, f"{found} of an export"
