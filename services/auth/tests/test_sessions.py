"""Tokens and what becomes of them."""

import asyncio
from collections import Counter

import jwt
import msgspec
import pytest
from signing import Service, key, running

from api.keys import Jwks
from local.fixtures import DatabaseFactory, until


async def test_an_access_token_is_verified_with_the_published_keys_alone(auth: Service) -> None:
    signed_in = await auth.sign_in()
    published = await auth.http.get("/.well-known/jwks.json")
    [found] = jwt.PyJWKSet.from_dict(published.json()).keys
    token = signed_in["access_token"]
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "typ": "at+jwt", "kid": found.key_id}
    claims = jwt.decode(token, found.key, algorithms=["EdDSA"], audience="todo", issuer="https://todo.test")
    assert claims["sub"] == signed_in["user"]["id"]
    assert claims["exp"] - claims["iat"] == 600
    assert {"sid", "roles", "jti"} <= set(claims)
    async with Jwks(str(published.url)) as keys:
        assert await keys.find(found.key_id) is not None
    place = (await auth.http.get("/.well-known/openid-configuration")).json()
    assert (place["issuer"], place["jwks_uri"]) == ("https://todo.test", "https://todo.test/.well-known/jwks.json")


async def test_an_access_token_lives_for_ten_minutes(auth: Service) -> None:
    token = (await auth.sign_in())["access_token"]
    auth.clock.move(minutes=9, seconds=58)
    assert (await auth.me(token)).is_success
    auth.clock.move(seconds=3)
    assert (await auth.me(token)).status_code == 401


async def test_a_refresh_token_is_exchanged_for_the_next_one(auth: Service) -> None:
    first = await auth.sign_in()
    second = (await auth.refresh(first["refresh_token"])).json()["data"]
    assert second["refresh_token"] != first["refresh_token"]
    assert (await auth.me(second["access_token"])).json()["data"]["id"] == first["user"]["id"]
    third = (await auth.refresh(second["refresh_token"])).json()["data"]
    assert third["refresh_token"] not in {first["refresh_token"], second["refresh_token"]}


async def test_twenty_refreshes_at_once_leave_one_child(auth: Service) -> None:
    token = (await auth.sign_in())["refresh_token"]
    async with auth.pool.acquire() as holder, holder.transaction():
        await holder.execute("select from session for update")
        refreshing = [asyncio.create_task(auth.refresh(token)) for _ in range(20)]
        # Several have read the session before any of them changes it.
        await until(lambda: holder.fetchval("select count(*) >= 3 from pg_locks where not granted"))
    answers = await asyncio.gather(*refreshing)
    assert {answer.status_code for answer in answers} == {200}
    children = {answer.json()["data"]["refresh_token"] for answer in answers}
    assert len(children) == 1
    assert await auth.pool.fetchval("select generation from session") == 1
    assert (await auth.refresh(children.pop())).is_success


async def test_a_retry_within_ten_seconds_gets_the_same_child(auth: Service) -> None:
    token = (await auth.sign_in())["refresh_token"]
    first = await auth.refresh(token)
    auth.clock.move(seconds=9)
    again = await auth.refresh(token)
    assert again.json()["data"]["refresh_token"] == first.json()["data"]["refresh_token"]


async def test_a_retry_over_a_rotation_of_keys_gets_the_same_child(database: DatabaseFactory) -> None:
    url, old, new = database("auth").url, key(), key(kid="k2")
    async with running(url, REFRESH_KEYS=old) as auth:
        token = (await auth.sign_in())["refresh_token"]
        child = (await auth.refresh(token)).json()["data"]["refresh_token"]
    async with running(url, REFRESH_KEYS=f"{new},{old}") as auth:
        assert (await auth.refresh(token)).json()["data"]["refresh_token"] == child
        grandchild = (await auth.refresh(child)).json()["data"]["refresh_token"]
        assert grandchild.startswith("k2.")


@pytest.mark.parametrize("used_again", ["late", "after its child"])
async def test_a_spent_token_that_comes_back_ends_its_family(auth: Service, used_again: str) -> None:
    first, bystander = await auth.sign_in(), await auth.sign_in()
    second = (await auth.refresh(first["refresh_token"])).json()["data"]
    if used_again == "late":
        auth.clock.move(seconds=11)
    else:
        second = (await auth.refresh(second["refresh_token"])).json()["data"]
    refused = await auth.refresh(first["refresh_token"])
    assert (refused.status_code, refused.json()["code"]) == (401, "refresh.invalid")
    assert (await auth.refresh(second["refresh_token"])).status_code == 401
    assert (await auth.me(second["access_token"])).status_code == 401
    assert (await auth.refresh(bystander["refresh_token"])).is_success
    [out] = await auth.events("UserSignedOut")
    assert msgspec.json.decode(out["data"])["reason"] == "reuse"


async def test_a_thief_and_the_owner_at_once_end_the_family_once(auth: Service) -> None:
    token = (await auth.sign_in())["refresh_token"]
    await auth.refresh(token)
    auth.clock.move(seconds=11)
    answers = await asyncio.gather(*(auth.refresh(token) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {401}
    assert Counter(await auth.said())["UserSignedOut"] == 1


async def test_what_was_never_a_refresh_token_ends_nothing(auth: Service) -> None:
    first = await auth.sign_in()
    token = first["refresh_token"]
    flipped = token[:30] + ("A" if token[30] != "A" else "B") + token[31:]
    for text in (
        flipped,
        token + "=",
        token[:-2],
        "k9" + token[2:],
        first["device_token"],
        first["access_token"],
        ".",
        "한글",
    ):
        assert (await auth.refresh(text)).status_code == 401
    assert (await auth.refresh(token)).is_success


async def test_a_session_ends_with_its_logout_and_only_that_one(auth: Service) -> None:
    here, there = await auth.sign_in(), await auth.sign_in()
    left = await auth.logout(here["access_token"])
    assert (left.status_code, left.json()["data"], left.headers["x-event-position"]) == (200, None, "AUTH:6")
    assert (await auth.logout(here["access_token"])).is_success
    assert (await auth.me(here["access_token"])).status_code == 401
    assert (await auth.refresh(here["refresh_token"])).status_code == 401
    assert (await auth.me(there["access_token"])).is_success
    assert Counter(await auth.said())["UserSignedOut"] == 1


async def test_a_session_ends_unused_after_thirty_days(auth: Service) -> None:
    token = (await auth.sign_in())["refresh_token"]
    auth.clock.move(days=29)
    token = (await auth.refresh(token)).json()["data"]["refresh_token"]
    auth.clock.move(days=29)
    token = (await auth.refresh(token)).json()["data"]["refresh_token"]
    auth.clock.move(days=30)
    assert (await auth.refresh(token)).status_code == 401


async def test_nobody_is_signed_in_without_a_token(auth: Service) -> None:
    for path in ("/users/me", "/users/me/"):
        assert (await auth.http.get(path)).status_code == 401
    assert (await auth.http.post("/users/logout")).status_code == 401
