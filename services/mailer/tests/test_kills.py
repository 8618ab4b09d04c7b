"""kill -9 under load, in every state of a letter: it goes once, but for the window that SMTP leaves open."""

import os
import re
import signal
from collections import Counter
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mailing import Post, asked, registered, service
from mailserver import MailServer
from test_notices import LONG_AGO, alarm, toggled

from events.catalog.todos import TodoOverdue
from local.fixtures import until

KILLS, FULL = 4, 200
STATES = {
    "queued": "select count(*) from letter where state = 'queued'",
    "claimed": "select count(*) from letter where state = 'claimed'",
    "sending": "select count(*) from letter where state = 'sending'",
    "settled": "select count(*) from letter where settled_at > clock_timestamp() - interval '1 second'",
}
POST_BY_SMTP = {"MAIL_TRANSPORT": "smtp", "SMTP_SERVER": "127.0.0.1", "SMTP_STARTTLS": "false"}


@pytest.mark.timeout(3600)
async def test_killed_again_and_again_a_mailer_sends_each_letter_once_but_for_the_documented_window(
    post: Post, server: MailServer, by_smtp: dict[str, Any], tmp_path: Path, full: bool
):
    server.hesitates = 0.05
    ada = registered()
    causes = [await post.auth.say(ada)]
    for nr in range(FULL if full else KILLS):
        async with service(post, tmp_path, SMTP_PORT=str(server.port), **POST_BY_SMTP) as process:
            for _ in range(6):
                causes.append(await post.auth.say(asked(lives=3600)))
                causes.append(await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id))
            for _ in range(3):
                done = toggled(f"({len(causes)})")
                causes.append(await post.auth.say(done, subject=ada.user_id, time=LONG_AGO))
            query = [*STATES.values()][nr % len(STATES)]
            await until(partial(post.owner.fetchval, query), within=30)
            os.kill(process.pid, signal.SIGKILL)
        await post.owner.execute("update letter set lease_until = clock_timestamp() where lease_until is not null")
    server.hesitates = 0.0
    async with post.mailer(**by_smtp):
        for cause in causes:
            await post.settled(cause, within=60)
    letters = await post.owner.fetch("select kind, state, resent, message_id from letter where part_of is null")
    copies = Counter(mail["Message-ID"] for mail in server.mails)
    assert await post.owner.fetchval("select count(*) from letter") == len(causes)
    assert {letter["state"] for letter in letters} <= {"sent", "unknown"}
    for letter in letters:
        came = copies.pop(letter["message_id"], 0)
        assert letter["state"] == "unknown" or came >= 1, "told as sent, and never came"
        assert came <= (2 if letter["resent"] else 1), "sent again outside the window"
        assert not letter["resent"] or letter["kind"] == "code", "a notice is never sent again"
    assert not copies
    assert Counter(said.letter_id for said in await post.said()).most_common(1)[0][1] == 1
    await no_completion_is_told_twice(post, server, [cause.id for cause in causes])
    unknown, resent = (sum(letter[what] == value for letter in letters) for what, value in WINDOW)
    print(f"{len(letters)} letters, {FULL if full else KILLS} kills: {unknown} unknown, {resent} sent once more")


async def no_completion_is_told_twice(post: Post, server: MailServer, causes: list[UUID]) -> None:
    """Each is told by one letter, itself or another: once where that was sent, else at most once."""
    query = """
    select l.cause, coalesce(head.state, l.state) as state, l.state as own, head.part_of
    from letter l left join letter head on head.id = l.part_of where l.kind = 'completion'
    """
    came = Counter(re.findall(r"\(\d+\)", "".join(text_of(mail) for mail in server.mails)))
    for row in await post.owner.fetch(query):
        times = came[f"({causes.index(row['cause'])})"]
        assert (row["own"], row["part_of"]) == (row["state"], None)
        assert times == 1 or (row["state"], times) == ("unknown", 0), "told twice, or as sent, and never came"


def text_of(mail: EmailMessage) -> str:
    return mail.get_body(("plain",)).get_content() if mail["Subject"] and "완료" in mail["Subject"] else ""


WINDOW = (("state", "unknown"), ("resent", True))
