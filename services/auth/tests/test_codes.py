"""Asking for codes and answering them."""

import asyncio
import logging
import re
from collections import Counter
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from signing import ADA, Service, appends_held_up, running, wrong

from auth import tables
from events.ids import uuid7
from local.fixtures import DatabaseFactory


async def test_a_code_becomes_a_session(auth: Service) -> None:
    asked = await auth.ask("  Ada@Example.TEST ")
    assert asked.json()["message"] == "OTP sent successfully"
    data = asked.json()["data"]
    assert data == {"email": ADA, "expires_in_minutes": 5, "challenge_id": data["challenge_id"]}
    assert (UUID(data["challenge_id"]).version, asked.headers["x-event-position"]) == (4, "OTP:1")
    letter = await auth.letter(data["challenge_id"])
    assert (letter.recipient, len(letter.code), letter.locale) == (ADA, 6, None)

    code = {"email": "ADA@example.test", "challenge_id": data["challenge_id"], "otp_code": letter.code}
    answer = await auth.answer(code)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    body = answer.json()["data"]
    assert body == body | {"token_type": "Bearer", "expires_in": 600, "user": {"id": body["user"]["id"], "email": ADA}}
    assert answer.headers["x-event-position"] == "AUTH:3"
    assert await auth.said() == ["OtpVerified", "UserRegistered", "UserSignedIn"]

    me = await auth.me(body["access_token"])
    assert me.json()["data"] == me.json()["data"] | {"id": body["user"]["id"], "email": ADA, "locale": None}


async def test_development_alone_answers_the_code(database: DatabaseFactory) -> None:
    async with running(database("auth").url, APP_ENV="development", OTP_LENGTH="12") as auth:
        data = (await auth.ask()).json()["data"]
        assert (await auth.letter(data["challenge_id"])).code == data["otp_code"]
        assert len(data["otp_code"]) == 12
        assert (await auth.answer({name: data[name] for name in ("email", "challenge_id", "otp_code")})).is_success


async def test_known_and_unknown_addresses_get_the_same_bytes(auth: Service) -> None:
    await auth.sign_in("known@example.test")
    known, unknown = await auth.ask("known@example.test"), await auth.ask("other@example.test")

    def shape(answer: httpx.Response, email: str) -> tuple[object, ...]:
        body = answer.text.replace(answer.json()["data"]["challenge_id"], "id").replace(email, "email")
        return answer.status_code, sorted(answer.headers), body

    assert shape(known, "known@example.test") == shape(unknown, "other@example.test")


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.test", "ada@example", "a b@example.test", "ada@example.test\nBcc: eve@example.test",
     "ada@-example.test", ".ada@example.test", "ada@example..test", f"{'a' * 65}@example.test", "아다@example.test",
     "ada@example.test, eve@example.test", "<ada@example.test>", "\u212aim@example.test", f"a@{'b.' * 126}test"],
)  # fmt: skip
async def test_what_is_no_address_is_refused_by_name(auth: Service, email: str) -> None:
    for answer in (
        await auth.ask(email),
        await auth.answer({"email": email, "challenge_id": str(uuid4()), "otp_code": "000000"}),
    ):
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == ["email"]


async def test_fifty_right_answers_at_once_make_one_session(auth: Service) -> None:
    code = await auth.challenge()
    answers = await asyncio.gather(*(auth.answer(code) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 49}
    said = Counter(await auth.said())
    assert said == {"OtpVerified": 1, "UserRegistered": 1, "UserSignedIn": 1, "OtpRejected": 49}
    assert await auth.pool.fetchval("select count(*) from session") == 1


async def test_the_sixth_guess_fails_whatever_it_is(auth: Service) -> None:
    code = await auth.challenge()
    assert [(await auth.answer(wrong(code))).status_code for _ in range(5)] == [401] * 5
    assert (await auth.answer(code)).status_code == 401
    assert await auth.said() == ["OtpRejected"] * 6


async def test_fifty_wrong_guesses_at_once_are_all_counted(auth: Service) -> None:
    code = await auth.challenge()
    await asyncio.gather(*(auth.answer(wrong(code)) for _ in range(50)))
    assert await auth.pool.fetchval("select guesses from challenge") == 50
    assert await auth.pool.fetchval("select wrong from streak") == 5
    assert (await auth.answer(code)).status_code == 401


async def test_every_refusal_says_the_same(auth: Service) -> None:
    used, late, other = await auth.challenge(), await auth.challenge(), await auth.challenge()
    assert (await auth.answer(used)).is_success
    unknown = other | {"challenge_id": str(uuid4())}
    bodies = [
        await auth.answer(each, **{"x-request-id": "same"})
        for each in (wrong(other), used, unknown, other | {"email": "eve@example.test"}, other | {"otp_code": "x"},
                     other | {"challenge_id": str(uuid7())})
    ]  # fmt: skip
    auth.clock.move(minutes=5)
    bodies.append(await auth.answer(late, **{"x-request-id": "same"}))
    assert {answer.status_code for answer in bodies} == {401}
    assert len({answer.content for answer in bodies}) == 1
    assert len({tuple(sorted(set(answer.headers) - {"date"})) for answer in bodies}) == 1
    assert bodies[0].json()["code"] == "otp.invalid"
    reasons = [msgspec.json.decode(event["data"])["reason"] for event in await auth.events("OtpRejected")]
    assert reasons == ["wrong", "used", "unknown", "unknown", "wrong", "expired"]


async def test_a_refusal_names_the_person_only_where_the_challenge_is_theirs(auth: Service) -> None:
    ada, code = (await auth.sign_in())["user"]["id"], await auth.challenge()
    eve = await auth.challenge("eve@example.test")
    await auth.answer(wrong(code))
    await auth.answer(eve | {"email": ADA})
    await auth.answer(eve | {"challenge_id": ada})
    assert [str(event["subject"]) for event in await auth.events("OtpRejected")] == [ada, eve["challenge_id"]]


async def test_the_right_code_of_a_challenge_that_is_over_makes_nobody(auth: Service) -> None:
    dead, late = await auth.challenge("dead@example.test"), await auth.challenge("late@example.test")
    for _ in range(5):
        await auth.answer(wrong(dead))
    assert (await auth.answer(dead)).status_code == 401
    auth.clock.move(minutes=5)
    assert (await auth.answer(late)).status_code == 401
    assert await auth.pool.fetch("select id from account") == []
    subjects = [str(event["subject"]) for event in await auth.events("OtpRejected")]
    assert subjects == [dead["challenge_id"]] * 6 + [late["challenge_id"]]


async def test_a_reserved_id_is_nobodys_until_its_person_registers(auth: Service) -> None:
    """A first sign-in that was cut off leaves its reservation behind; the next one takes it."""
    reserved = uuid7()
    await tables.reserve_account(auth.pool, reserved, ADA)
    code = await auth.challenge()
    await auth.answer(wrong(code))
    assert [str(event["subject"]) for event in await auth.events("OtpRejected")] == [code["challenge_id"]]
    assert (await auth.answer(code)).json()["data"]["user"]["id"] == str(reserved)


async def test_two_first_sign_ins_at_once_make_one_person(auth: Service) -> None:
    codes = [await auth.challenge() for _ in range(8)]
    answers = await asyncio.gather(*(auth.answer(code) for code in codes))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["data"]["user"]["id"] for answer in answers}) == 1
    said = Counter(await auth.said())
    assert said == {"OtpVerified": 8, "UserRegistered": 1, "UserSignedIn": 8}


async def test_who_cannot_know_whether_it_was_done_is_told_to_ask_again(database: DatabaseFactory) -> None:
    """No route here keeps answers, so an Idempotency-Key would settle nothing."""
    made = database("auth")
    async with running(made.url) as auth:
        code = await auth.challenge()
        async with appends_held_up(made.owner_url):
            answers = await asyncio.gather(auth.ask(), auth.answer(code))
    for unknown in answers:
        assert (unknown.status_code, unknown.json()["code"]) == (503, "outcome_unknown")
        assert unknown.headers["retry-after"] == "1"
        assert "ask for a new code" in unknown.json()["detail"]
        assert "Idempotency-Key" not in unknown.json()["detail"]


async def test_a_person_comes_back_as_the_same_person(auth: Service) -> None:
    first, second = await auth.sign_in(), await auth.sign_in()
    assert first["user"] == second["user"]
    assert Counter(await auth.said())["UserRegistered"] == 1


async def test_codes_and_tokens_are_kept_nowhere_and_addresses_only_where_they_belong(
    database: DatabaseFactory, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(database("auth").url, OTP_LENGTH="12") as auth:
        code = await auth.challenge()
        await auth.answer(code | {"otp_code": "000000000000"})
        tokens = (await auth.answer(code)).json()["data"]
        await auth.refresh(tokens["refresh_token"])
        challenge_id = code["challenge_id"]
        secrets = [code["otp_code"], *(tokens[f"{kind}_token"] for kind in ("access", "refresh", "device"))]
        assert set(await holders_of(auth, challenge_id)) == {"events.log", "public.challenge"}
        assert await holders_of(auth, ADA) == ["public.account", "public.challenge"]
        for secret in secrets:
            assert await holders_of(auth, secret) == []
    logged = caplog.text + "".join(capfd.readouterr())
    assert "/users/verify-otp" in logged  # httpx says this: what is printed is searched
    assert not [secret for secret in (ADA, *secrets) if secret in logged]


async def holders_of(auth: Service, text: str) -> list[str]:
    """The tables that hold a text, in clear or in bytes."""
    names = await auth.pool.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'events') "
        "and has_table_privilege(format('%I.%I', schemaname, tablename), 'select') order by name"
    )
    pattern = f"({re.escape(text)}|{text.encode().hex()})"
    found = [
        await auth.pool.fetchval(f"select min('{name}') from {name} t where t::text ~ $1", pattern) for (name,) in names
    ]
    return [name for name in found if name]
