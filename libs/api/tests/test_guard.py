"""Only a token that auth signed for us, now, lets anybody in."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.guard import Guard
from api.problems import Problem
from api.requests import Person
from api.testing import AUDIENCE, ISSUER, People

ME = UUID(int=1)


async def test_a_good_token_lets_its_person_in(people: People) -> None:
    person = await people.guard.person(f"Bearer {people.token(ME, sid=str(ME), roles=['analyst'], locale='ko')}")
    assert person == Person(ME, ME, frozenset({"analyst"}), "ko", person.expires)
    assert 590 < person.expires - time.time() <= 600
    assert (await people.guard.person(f"bearer {people.token(ME, locale='xx')}")).locale is None


async def test_without_a_token_the_answer_asks_for_one(client: httpx.AsyncClient) -> None:
    for absent in ({}, {"authorization": "Bearer"}, {"authorization": "Basic eDp5"}):
        answer = await client.post("/things", json={"title": "x"}, headers=absent)
        assert_asked(answer)


def assert_asked(answer: httpx.Response) -> None:
    """The answer asks for a token."""
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_role_opens_what_others_may_not_see(client: httpx.AsyncClient, people: People) -> None:
    assert (await client.get("/secrets", headers=people.headers(ME))).status_code == 403
    assert (await client.get("/secrets", headers=people.headers(ME, roles=["analyst"]))).status_code == 200
    assert (await client.get("/secrets")).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.test"},
        {"aud": "other"},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"sub": None},
        {"sub": "me"},
        {"sid": None},
        {"sid": 5},
        {"header": {"kid": "other"}},
        {"header": {"typ": "JWT"}},
    ],
)
async def test_a_token_with_a_false_claim_is_refused(people: People, claims: dict[str, Any]) -> None:
    await assert_refused(people.guard, people.token(ME, **claims))


def b64(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


HEADER = {"alg": "EdDSA", "kid": "test", "typ": "at+jwt"}
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(ME), "sid": str(ME), "exp": 9_999_999_999}
DEEP = "[" * 1_900 + "]" * 1_900


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "..",
        "x" * 5_000,
        f"{b64({**HEADER, 'alg': 'none'})}.{b64(CLAIMS)}.",
        f"{b64(HEADER)}.{b64(CLAIMS)}.{b64('signature')}",
        f"{b64([])}.{b64(CLAIMS)}.x",
        f"{b64({**HEADER, 'kid': None})}.{b64(CLAIMS)}.x",
        base64.urlsafe_b64encode(DEEP[:2_800].encode()).rstrip(b"=").decode() + ".e30.x",
        jwt.encode(CLAIMS, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers=HEADER),
        jwt.encode(CLAIMS, "k" * 32, algorithm="HS256", headers={**HEADER, "alg": "HS256"}),
    ],
)
async def test_what_is_no_token_of_ours_is_refused(people: People, client: httpx.AsyncClient, token: str) -> None:
    await assert_refused(people.guard, token)
    answer = await client.post("/things", json={}, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_a_remembered_token_ends_with_its_time(people: People) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    people = People(clock=lambda: now)
    token = people.token(ME)
    await people.guard.person(f"Bearer {token}")
    now += timedelta(minutes=9, seconds=59)
    await people.guard.person(f"Bearer {token}")
    now += timedelta(seconds=1)
    await assert_refused(people.guard, token)


async def test_a_remembered_token_of_an_erased_person_is_refused() -> None:
    erased: set[UUID] = set()
    people = People(refuse=lambda person: person.id in erased)
    token = people.token(ME)
    await people.guard.person(f"Bearer {token}")
    erased.add(ME)
    await assert_refused(people.guard, token)


async def assert_refused(guard: Guard, token: str) -> None:
    """The guard answers 401 to this token."""
    with pytest.raises(Problem) as refusal:
        await guard.person(f"Bearer {token}")
    assert refusal.value.kind.status == 401
