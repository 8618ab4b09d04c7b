"""A person deletes the account: nothing of them is left anywhere, nothing of anybody else is gone, the numbers stay."""

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from events.catalog.feeds import FEEDS
from local.fixtures import until
from system import Person, System, after_the_week, code_of, open_periods

SERVICES = ("auth", "todos", "mailer", "activity", "notifier")
STREAMS = ("AUTH", "TODOS", "MAILER", "ACTIVITY", "NOTIFIER", "OTP")
TABLES = """
select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
"""
WITHOUT_ACCOUNT = """
with asked as (delete from challenge c using account a where a.id = $1::uuid and c.email = a.email),
sessions as (delete from session where user_id = $1)
delete from account where id = $1
"""
READS = (
    "/users/me",
    "/users/me/export",
    "/todos/",
    "/todos/export",
    "/activity/",
    "/activity/export",
    "/mail/export",
    "/notifications/",
    "/notifications/export",
)


@pytest.fixture
async def canary() -> str:
    """A word that nobody else says."""
    return f"canary{secrets.token_hex(8)}"


@pytest.fixture
async def leaver(world: System, canary: str) -> AsyncIterator[Person]:
    """Somebody whose address, name, device and to-dos hold the word, with a history in every service."""
    async with world.visitor() as someone:
        someone.email = f"{canary}@example.com"
        someone.http.headers["user-agent"] = f"{canary}-phone"
        await someone.sign_in()
        await someone.http.patch("/users/me", json={"name": f"{canary} Kim"})
        await someone.did("profile_changed")
        await someone.http.post("/notifications/devices", json={"service": "fcm", "token": f"{canary}-token"})
        for nr in range(3):
            created = await someone.create(f"{canary} {nr}", **{"idempotency-key": f"key-{nr}"})
        await someone.http.patch(f"{created.headers['location']}/toggle")
        await someone.did("profile_changed", *["todo_created"] * 3, "todo_toggled")
        yield someone


async def fresh_code(someone: Person) -> dict[str, str]:
    """Ask for a code and read it from the letter that comes now."""
    before = len(someone.codes())
    challenge = await someone.ask_for_code()
    await until(lambda: len(someone.codes()) > before)
    return {"challenge_id": challenge["challenge_id"], "otp_code": code_of(await someone.letter())}


async def leave(someone: Person) -> None:
    left = await someone.http.request("DELETE", "/users/me", json=await fresh_code(someone))
    assert left.status_code == 200, left.text


async def erased(world: System, person_id: str) -> None:
    """Wait until every service is done with a person."""
    done = "select count(*) > 0 and bool_and(erased_at is not null) from events.erasure where subject = $1"
    for service in SERVICES:
        await until(lambda: world.value(service, done, person_id), within=20)  # noqa: B023
        await until(lambda: world.value(service, "select count(*) = 0 from events.deletion"), within=20)  # noqa: B023


async def found(world: System, text: str) -> set[str]:
    """The tables, streams and store files that hold a text."""
    streams = {f"stream {stream}" for stream in STREAMS if text in await spoken(world, stream)}
    store = {"store" for file in stored(world) if text.encode() in file.read_bytes()}
    return await tables_with(world, text) | streams | store


async def tables_with(world: System, text: str) -> set[str]:
    hits = set()
    for service in SERVICES:
        for schema, table in await world.rows(service, TABLES):
            # A bytea reads as hexadecimal digits.
            query = f"select exists (select from {schema}.{table} t where t::text like any ($1))"
            if await world.value(service, query, [f"%{text}%", f"%{text.encode().hex()}%"]):
                hits.add(f"{service} {schema}.{table}")
    return hits


async def spoken(world: System, stream: str) -> str:
    return "\n".join(f"{message.headers} {message.data}" for message in await world.messages(stream))


def stored(world: System) -> Sequence[Path]:
    return list((world.stack.layout.folder / "data" / "nats").glob("**/*.blk"))


async def log_of(world: System, feed: str) -> list[tuple[int, str]]:
    query = "select seq, id from events.log where feed = $1 order by seq"
    return [(row["seq"], str(row["id"])) for row in await world.rows(FEEDS[feed].service, query, feed)]


async def test_after_an_erasure_nothing_of_the_person_is_found_and_nobody_else_misses_anything(
    world: System, leaver: Person, canary: str
) -> None:
    async with world.person() as other:
        await other.create("of somebody else")
        await other.did("todo_created")
        before = await found(world, canary)
        assert {"auth public.account", "todos public.todo", "todos events.log", "todos events.idempotency"} <= before
        assert {"auth public.session", "auth events.log", "mailer public.contact", "stream AUTH"} <= before
        months = {name.rpartition("_")[0].rpartition("_")[0] for name in before}
        assert {"activity public.archive", "activity public.entry"} <= months
        assert {"stream TODOS", "store", "mailer public.letter"} <= before
        assert {"notifier public.notification", "notifier public.device"} <= before
        await leave(leaver)
        await erased(world, leaver.id)
        await until(lambda: nothing(world, canary), within=10)
        assert await other.actions() == ["user_registered", "user_signed_in", "todo_created"]
        listed = (await other.http.get("/todos/")).json()["data"]
        assert [todo["title"] for todo in listed] == ["of somebody else"]
        assert (await other.http.get("/users/me")).json()["data"]["email"] == other.email
    await world.ready(*SERVICES)


async def test_whoever_has_no_account_since_a_restore_is_erased_everywhere_by_an_operator(
    world: System, leaver: Person, canary: str
) -> None:
    """As where they registered after the copy: the log has them from its tail, others know them, auth has no row."""
    await world.rows("auth", WITHOUT_ACCOUNT, leaver.id)
    assert {"mailer public.contact", "todos public.todo", "stream AUTH", "stream TODOS"} <= await found(world, canary)
    assert as_operator(world, "erase", leaver.id).startswith("the person is erased")
    await erased(world, leaver.id)
    await until(lambda: nothing(world, canary), within=10)
    for path in READS:
        await until(lambda: refused(leaver, path))  # noqa: B023
    assert as_operator(world, "erase", leaver.id).startswith("this person was erased before")
    await world.ready(*SERVICES)


def as_operator(world: System, *words: str) -> str:
    """What auth says to an operator."""
    command = [sys.executable, "-m", "local", "as", "auth", sys.executable, "-m", "auth", *words]
    env = os.environ | {"PORT_BASE": str(world.stack.layout.port_base)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True).stdout


async def nothing(world: System, text: str) -> bool:
    return await found(world, text) == set()


async def test_of_the_report_of_an_erased_person_only_its_number_is_left(world: System, leaver: Person) -> None:
    with world.later(after_the_week()):
        await until(leaver.weeks, within=40)
    kept = {message.headers["ce-id"] for message in await world.messages("ACTIVITY")}
    await leave(leaver)
    await erased(world, leaver.id)
    rows = await world.rows("activity", "select id, type, data from events.log where subject = $1", leaver.id)
    assert rows
    assert {(row["type"], row["data"]) for row in rows} == {("core.Erased.v1", "{}")}
    left = {message.headers["ce-id"] for message in await world.messages("ACTIVITY")}
    assert kept - left == {str(row["id"]) for row in rows}
    for table in ("person", "open_period"):
        assert await world.value("activity", f"select count(*) from {table} where user_id = $1", leaver.id) == 0


async def test_a_token_that_is_still_valid_is_refused_everywhere(world: System, leaver: Person) -> None:
    for path in READS:
        assert (await leaver.http.get(path)).status_code == 200, path
    await leave(leaver)
    await erased(world, leaver.id)
    for path in READS:
        await until(lambda: refused(leaver, path))  # noqa: B023
    assert (await leaver.http.post("/todos/", json={"title": "too late"})).status_code == 401


async def refused(someone: Person, path: str) -> bool:
    return (await someone.http.get(path)).status_code == 401


async def test_the_address_registers_anew_and_inherits_nothing(world: System, leaver: Person) -> None:
    before = leaver.id
    await leave(leaver)
    async with world.visitor() as again:
        again.email = leaver.email
        code = await fresh_code(again)
        session = (await again.verify(code, code["otp_code"])).json()["data"]
        again.http.headers["authorization"] = f"Bearer {session['access_token']}"
        assert session["user"]["id"] != before
        await again.did()
        assert (await again.http.get("/todos/")).json()["data"] == []


async def test_an_export_holds_everything_and_without_a_service_there_is_none(
    world: System, leaver: Person, canary: str
) -> None:
    exported = await leaver.http.get("/users/me/export")
    services = exported.json()["data"]["services"]
    assert set(services) == set(SERVICES)
    assert services["auth"]["account"]["email"] == leaver.email
    assert [todo["title"] for todo in services["todos"]["todos"]] == [f"{canary} {nr}" for nr in range(3)]
    assert "todo_toggled" in {entry["action"] for entry in services["activity"]["entries"]}
    assert [period["period"] for period in services["activity"]["open_periods"]] == open_periods()
    assert services["mailer"]["contact"]["user_id"] == leaver.id
    assert {"welcome", "completion"} <= {letter["kind"] for letter in services["mailer"]["letters"]}
    assert services["mailer"]["preferences"] is None
    assert [each["kind"] for each in services["notifier"]["notifications"]] == ["completion"]
    assert [each["address"] for each in services["notifier"]["devices"]] == [f"{canary}-token"]
    with world.without("activity"):
        missing = await leaver.http.get("/users/me/export")
        assert (missing.status_code, missing.json()["code"]) == (503, "export.incomplete")
    await world.ready(*SERVICES)


async def test_a_stream_that_is_lost_after_an_erasure_comes_back_under_the_same_numbers(
    world: System, leaver: Person, canary: str
) -> None:
    await leave(leaver)
    await erased(world, leaver.id)
    async with world.jetstream() as js:
        config = (await js.stream_info("TODOS")).config
        await js.delete_stream("TODOS")
        config.first_seq = None
        await js.add_stream(config)

    async def filled() -> bool:
        there = [message.headers for message in await world.messages("TODOS")]
        return [(int(each["ce-seq"]), each["ce-id"]) for each in there] == await log_of(world, "TODOS")

    await until(filled, within=20)
    mine = [message for message in await world.messages("TODOS") if message.headers["ce-subject"] == leaver.id]
    assert {(message.headers["ce-type"], message.data) for message in mine} == {("core.Erased.v1", b"{}")}
    assert len(mine) == 4
    assert await nothing(world, canary)
    await world.ready(*SERVICES)
