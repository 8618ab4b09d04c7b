"""Accounts through the gateway: profile, sessions, and what an operator of the stack does by command."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

from local.fixtures import until
from system import Person, System


async def test_a_profile_is_changed_and_the_activity_says_which_fields(world: System) -> None:
    async with world.person() as me:
        patched = await me.http.patch("/users/me", json={"name": "김하늘", "locale": "en", "timezone": "Asia/Seoul"})
        assert patched.status_code == 200, patched.text
        await me.did("profile_changed")
        entry = (await me.http.get("/activity/?action=profile_changed")).json()["data"][0]
        assert entry["details"] == {"fields": ["locale", "name", "timezone"]}
        chosen = "select name, locale, timezone from contact where user_id = $1"
        assert await until(lambda: known(world, chosen, me)) == ("김하늘", "en", "Asia/Seoul")


async def known(world: System, query: str, me: Person) -> tuple[str, ...] | None:
    [row] = await world.rows("mailer", query, me.id)
    return tuple(row) if row["name"] else None


async def test_an_operator_of_the_stack_grants_a_role(world: System) -> None:
    async with world.visitor() as someone:
        session = await someone.sign_in()
        command = [sys.executable, "-m", "local", "grant", someone.email, "analyst"]
        env = os.environ | {"PORT_BASE": str(world.stack.layout.port_base)}
        granting = await asyncio.create_subprocess_exec(*command, env=env, stdout=PIPE, stderr=PIPE)
        out, err = await asyncio.wait_for(granting.communicate(), 30)
        assert (granting.returncode, err) == (0, b"")
        assert out.startswith(b"roles: analyst")
        tokens = await someone.http.post("/users/refresh", json={"refresh_token": session["refresh_token"]})
        someone.http.headers["authorization"] = f"Bearer {tokens.json()['data']['access_token']}"
        assert (await someone.http.get("/users/me")).json()["data"]["roles"] == ["analyst"]
        await someone.did("roles_changed")
