"""How to reach people, kept up to date."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mailing import KEY, NEXT_KEY, Post, environment, registered, text_of
from mailserver import MailServer

from events.catalog.auth import ProfileChanged
from events.catalog.todos import TodoOverdue
from events.ids import uuid7
from events.keys import read_keys
from local.fixtures import until
from mailer.people import reseal
from mailer.seals import Seals

NEW, OLD = f"k2:{text_of(bytes(NEXT_KEY))}", f"k1:{text_of(bytes(KEY))}"
LOST = "update contact set sealed_contact = 'k0.lost' where user_id = (select user_id from contact limit 1)"
IN_BOXES_FOR = "select array_agg(distinct split_part(sealed_contact, '.', 1)) from contact"


async def test_what_a_person_chose_is_kept_with_how_to_reach_them(post: Post) -> None:
    ada, eve = registered(), registered()
    for said in (
        ada,
        ProfileChanged(user_id=ada.user_id, name="Ada", locale="ko", timezone="Asia/Seoul"),
        ProfileChanged(user_id=ada.user_id, name="김하늘", timezone=None),
        ProfileChanged(user_id=uuid7(), name="nobody here"),
        eve,
    ):
        await post.auth.say(said)
    async with post.mailer():
        await until(lambda: post.owner.fetchval("select count(*) = 2 from contact"))
        assert await chosen(post) == {ada.user_id: ("김하늘", "ko", None), eve.user_id: (None, None, None)}
        await post.auth.say(ProfileChanged(user_id=eve.user_id, locale="en"))
        await until(lambda: post.owner.fetchval("select count(*) = 2 from contact where locale is not null"))
        assert (await chosen(post))[eve.user_id] == (None, "en", None)
        for zone in ("Asia/Tokyo", None):
            await post.auth.say(ProfileChanged(user_id=ada.user_id, timezone=zone))
            await until(lambda: is_in(post, ada.user_id, zone))  # noqa: B023
            assert (await chosen(post))[ada.user_id] == ("김하늘", "ko", zone)


async def is_in(post: Post, person: object, zone: str | None) -> bool:
    query = "select timezone is not distinct from $2 from contact where user_id = $1"
    return bool(await post.owner.fetchval(query, person, zone))


async def chosen(post: Post) -> dict[object, tuple[object, ...]]:
    rows = await post.owner.fetch("select user_id, name, locale, timezone from contact")
    return {row["user_id"]: (row["name"], row["locale"], row["timezone"]) for row in rows}


async def test_once_addresses_are_sealed_anew_letters_go_without_the_old_key(
    post: Post, server: MailServer, by_smtp: dict[str, Any], tmp_path: Path
) -> None:
    ada = registered()
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(ada), "sent")
    assert await resealed(post, tmp_path, f"{NEW},{OLD}") == (0, "1 addresses are sealed for k2 now; 0 do not open\n")
    assert await resealed(post, tmp_path, f"{NEW},{OLD}") == (0, "0 addresses are sealed for k2 now; 0 do not open\n")
    async with post.mailer(**by_smtp, mailer_private_keys=NEW):
        late = TodoOverdue(todo_id=uuid7(), title="우유", priority=3, due_at=datetime.now(UTC), due_zone=None)
        await post.settled(await post.auth.say(late, subject=ada.user_id), "sent")
    assert len(server.mails) == 2


async def test_every_address_is_sealed_anew_but_one_that_does_not_open(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailer.people.BATCH", 2)
    async with post.mailer():
        for _ in range(5):
            await post.auth.say(registered())
        await until(lambda: post.owner.fetchval("select count(*) = 5 from contact"))
    await post.owner.execute(LOST)
    assert await reseal(post.owner, Seals(read_keys(f"{NEW},{OLD}", size=32))) == (4, 1)
    assert await post.owner.fetchval(IN_BOXES_FOR) == ["k0", "k2"]


async def resealed(post: Post, folder: Path, keys: str) -> tuple[int | None, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "mailer", "reseal"),
        stdout=asyncio.subprocess.PIPE,
        env=environment(post, folder) | {"MAILER_PRIVATE_KEYS": keys},
    )
    out, _ = await asyncio.wait_for(child.communicate(), 30)
    return child.returncode, out.decode()
