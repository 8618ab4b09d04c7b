"""kill -9 under load, in every state of a letter: it goes once, but for the window that SMTP leaves open."""

import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mailing import Post, asked, registered, service
from mailserver import MailServer
from test_notices import alarm

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
            query = [*STATES.values()][nr % len(STATES)]
            await until(partial(post.owner.fetchval, query), within=30)
            os.kill(process.pid, signal.SIGKILL)
        await post.owner.execute("update letter set lease_until = clock_timestamp() where lease_until is not null")
    server.hesitates = 0.0
    async with post.mailer(**by_smtp):
        for cause in causes:
            await post.settled(cause, within=60)
    letters = await post.owner.fetch("select kind, state, resent, message_id from letter")
    copies = Counter(mail["Message-ID"] for mail in server.mails)
    assert len(letters) == len(causes)
    assert {letter["state"] for letter in letters} <= {"sent", "unknown"}
    for letter in letters:
        came = copies.pop(letter["message_id"], 0)
        assert letter["state"] == "unknown" or came >= 1, "told as sent, and never came"
        assert came <= (2 if letter["resent"] else 1), "sent again outside the window"
        assert not letter["resent"] or letter["kind"] == "code", "a notice is never sent again"
    assert not copies
    assert Counter(said.letter_id for said in await post.said()).most_common(1)[0][1] == 1
    unknown, resent = (sum(letter[what] == value for letter in letters) for what, value in WINDOW)
    print(f"{len(letters)} letters, {FULL if full else KILLS} kills: {unknown} unknown, {resent} sent once more")


WINDOW = (("state", "unknown"), ("resent", True))
