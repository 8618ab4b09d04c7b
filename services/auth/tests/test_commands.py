"""What an operator does by command, beside the running service."""

import asyncio
import os
import sys
from uuid import UUID

import jwt
import msgspec
import pytest
from signing import ADA, Service, environment, running
from test_own_sessions import sid
from test_reserved import reserve

from auth.account import change_role
from auth.erasure import erase_person
from local.fixtures import DatabaseFactory

ERASED = "the person is erased: the account is gone, and each service takes away the rest once it hears of it\n"
ERASED_BEFORE = "this person was erased before: nothing is said again\n"


async def command(url: str, *arguments: str, **values: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m auth`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment(DATABASE_URL=url, **values),
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def roles_after_refresh(auth: Service, signed_in: dict[str, str]) -> list[str]:
    tokens = (await auth.refresh(signed_in["refresh_token"])).json()["data"]
    signed_in |= tokens
    roles = jwt.decode(tokens["access_token"], options={"verify_signature": False})["roles"]
    assert (await auth.me(tokens["access_token"])).json()["data"]["roles"] == roles
    return roles


async def test_a_granted_role_is_in_the_log_and_in_the_next_token_and_so_is_its_end(database: DatabaseFactory) -> None:
    url = database("auth").url
    async with running(url) as auth:
        ada = await auth.sign_in()
        done = await command(url, "grant", " Ada@Example.test ", "operator")
        assert done[:2] == (0, "roles: operator; in their tokens from the next refresh on\n")
        assert await roles_after_refresh(auth, ada) == ["operator"]
        assert (await command(url, "grant", ADA, "operator"))[0] == 0
        await asyncio.gather(command(url, "grant", ADA, "analyst"), command(url, "revoke", ADA, "operator"))
        assert await roles_after_refresh(auth, ada) == ["analyst"]
        assert (await command(url, "revoke", ADA, "analyst"))[1].startswith("roles: none")
        assert await roles_after_refresh(auth, ada) == []
        said = await auth.events("RolesChanged")
    assert [msgspec.json.decode(event["data"])["roles"] for event in (said[0], said[-1])] == [["operator"], []]
    assert len(said) == 4
    assert {(event["actor"], str(event["subject"])) for event in said} == {("operator", ada["user"]["id"])}


async def test_two_commands_on_one_person_at_once_both_count(database: DatabaseFactory) -> None:
    async with running(database("auth").url) as auth:
        await auth.sign_in()
        for gained, lost in (("analyst", "operator"), ("operator", "analyst")) * 3:
            await asyncio.gather(
                change_role(auth.accounts, ADA, gained, "grant"), change_role(auth.accounts, ADA, lost, "revoke")
            )
            now = await change_role(auth.accounts, ADA, gained, "grant")
            assert now is not None
            assert now.roles == (gained,)


async def test_who_is_erased_by_an_operator_is_gone_as_if_they_had_asked_and_said_twice_it_is_said_once(
    database: DatabaseFactory,
) -> None:
    url = database("auth").url
    async with running(url) as auth:
        ada, grace = await auth.sign_in(), await auth.sign_in("grace@example.test")
        await auth.challenge()
        await change_role(auth.accounts, ADA, "operator", "grant")
        assert (await command(url, "erase", ada["user"]["id"]))[:2] == (0, ERASED)
        assert (await command(url, "erase", ada["user"]["id"]))[:2] == (0, ERASED_BEFORE)
        assert (await auth.me(ada["access_token"])).status_code == 401
        assert (await auth.refresh(ada["refresh_token"])).status_code == 401
        assert (await auth.me(grace["access_token"])).status_code == 200
        assert [row["email"] for row in await auth.pool.fetch("select email from account")] == ["grace@example.test"]
        assert await auth.pool.fetchval("select count(*) from challenge where email = $1", ADA) == 0
        assert [str(row["subject"]) for row in await auth.pool.fetch("select subject from events.erasure")] == [
            ada["user"]["id"]
        ]
        [said] = await auth.events("UserErased")
        assert (await auth.sign_in())["user"]["id"] != ada["user"]["id"]
    assert (said["actor"], said["version"], str(said["subject"])) == ("operator", 3, ada["user"]["id"])
    assert msgspec.json.decode(said["data"]) == {"user_id": ada["user"]["id"]}


async def test_who_is_erased_by_two_operators_at_once_while_they_change_is_erased_once(
    database: DatabaseFactory,
) -> None:
    async with running(database("auth").url) as auth:
        ada = UUID((await auth.sign_in())["user"]["id"])
        _, *done = await asyncio.gather(
            change_role(auth.accounts, ADA, "operator", "grant"), *(erase_person(auth.accounts, ada) for _ in range(2))
        )
        assert sorted(map(str, done)) == ["False", "True"]
        assert len(await auth.events("UserErased")) == 1


async def test_the_id_of_a_session_or_of_somebody_who_never_came_in_erases_nobody(database: DatabaseFactory) -> None:
    async with running(database("auth").url) as auth:
        ada, reserved = await auth.sign_in("grace@example.test"), await reserve(auth)
        for other in (UUID(sid(ada)), reserved):
            assert await erase_person(auth.accounts, other) is None
        assert await auth.events("UserErased") == []
        assert await auth.pool.fetchval("select count(*) from account") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("grant", ADA, "analyst"), "nobody has signed in with this address"),
        (("grant", ADA, "king"), "there is no such role; use one of: analyst, operator"),
        (("revoke", "ada", "analyst"), "no e-mail address"),
        (("grant", ADA), "usage: python -m auth grant EMAIL analyst|operator"),
        (("erase", "ada"), "no id of a person: it must be a UUID"),
        (("erase", str(UUID(int=1))), "the log knows no person with this id"),
        (("erase",), "usage: python -m auth erase USER_ID"),
    ],
)
async def test_a_command_that_cannot_be_done_says_why_without_the_address(
    database: DatabaseFactory, arguments: tuple[str, ...], says: str
) -> None:
    code, out, err = await command(database("auth").url, *arguments)
    assert (code, out) == (1, "")
    assert says in err
    assert ADA not in err


async def test_a_command_without_a_database_says_so() -> None:
    code, _, err = await command("postgres://auth@127.0.0.1:1/auth", "grant", ADA, "analyst")
    assert code == 1
    assert "see that PostgreSQL answers" in err
