"""What was settled long ago is dropped, what was not stays."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mailing import Post, asked

from events.clock import system_clock
from events.envelope import Envelope
from events.postgres import open_pool
from local.fixtures import until
from mailer.console import drop_mails
from mailer.tables import drop_letters

DAY = 24 * 3600


async def test_a_letter_is_dropped_thirty_days_after_it_was_settled(post: Post) -> None:
    async with post.mailer():
        causes = [await post.auth.say(asked()) for _ in range(4)]
        for cause in causes:
            await post.settled(cause, "sent")
    for cause, age in zip(causes, (31, 31, 29, None), strict=True):
        await settled_before(post, cause, age)
    async with await open_pool(post.database.url, application="mailer") as pool:
        assert [await drop_letters(pool, system_clock, 1) for _ in range(3)] == [1, 1, 0]
    left = await post.owner.fetch("select cause from letter")
    assert {row["cause"] for row in left} == {cause.id for cause in causes[2:]}


async def test_old_letters_and_mails_go_while_the_mailer_runs(post: Post, tmp_path: Path) -> None:
    mails = {name: aged(tmp_path / f"{name}.eml", age) for name, age in (("old", 31), ("new", 29))}
    async with post.mailer():
        cause = await post.auth.say(asked())
        await post.settled(cause, "sent")
    await settled_before(post, cause, 31)
    async with post.mailer(mail_dir=str(tmp_path)):
        await until(lambda: post.owner.fetchval("select count(*) = 0 from letter"))
        await until(lambda: not mails["old"].exists())
    assert mails["new"].exists()


async def test_nothing_but_old_mails_is_deleted(tmp_path: Path) -> None:
    for name, age in (("old.eml", 31), ("older.eml", 40), ("new.eml", 29), ("old.txt", 31)):
        aged(tmp_path / name, age)
    assert [await drop_mails(tmp_path, 1) for _ in range(3)] == [1, 1, 0]
    assert names(tmp_path) == {"new.eml", "old.txt"}
    assert await drop_mails(tmp_path / "not there", 10) == 0


async def settled_before(post: Post, cause: Envelope, days: int | None) -> None:
    moment = None if days is None else datetime.now(UTC) - timedelta(days=days)
    await post.owner.execute("update letter set settled_at = $2 where cause = $1", cause.id, moment)


def aged(file: Path, days: int) -> Path:
    file.write_text("a mail")
    os.utime(file, (time.time() - days * DAY,) * 2)
    return file


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}
