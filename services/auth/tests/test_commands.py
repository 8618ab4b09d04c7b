"""What an operator does by command, beside the running service."""

import asyncio
import os
import sys

import jwt
import msgspec
import pytest
from signing import ADA, Service, environment, running

from auth.account import change_role
from local.fixtures import DatabaseFactory


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("grant", ADA, "analyst"), "nobody has signed in with this address"),
        (("grant", ADA, "king"), "there is no such role; use one of: analyst, operator"),
        (("revoke", "ada", "analyst"), "no e-mail address"),
        (("grant", ADA), "usage: python -m auth grant EMAIL analyst|operator"),
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
