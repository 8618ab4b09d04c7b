"""Accounts through the gateway: profile, sessions, and what an operator of the stack does by command."""

import os
import subprocess
import sys

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
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("roles: analyst")
        tokens = await someone.http.post("/users/refresh", json={"refresh_token": session["refresh_token"]})
        someone.http.headers["authorization"] = f"Bearer {tokens.json()['data']['access_token']}"
        assert (await someone.http.get("/users/me")).json()["data"]["roles"] == ["analyst"]
