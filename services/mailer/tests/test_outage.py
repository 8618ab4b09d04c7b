"""A mail server that puts everything off for a while: nothing is lost, and each letter is taken once."""

from collections import Counter, deque
from time import monotonic
from typing import Any

import pytest
from mailing import Post, asked, registered
from mailserver import MailServer, Reply
from test_notices import alarm

from events.catalog.mailer import MailSent
from events.catalog.todos import TodoOverdue

SECONDS, FULL = 2, 300


class Outage(deque[Reply]):
    """What a server answers that is busy for so many seconds and so many letters, and takes everything then."""

    def __init__(self, seconds: float, letters: int) -> None:
        super().__init__(["451 busy, come back later"])
        self._until = monotonic() + seconds
        self._letters = letters
        self.refused = 0

    def popleft(self) -> Reply:
        if monotonic() >= self._until and self.refused >= self._letters:
            self.clear()
            return "250 OK"
        self.refused += 1
        return self[0]


@pytest.mark.timeout(900)
async def test_letters_that_a_server_puts_off_for_minutes_are_taken_once_when_it_is_well(
    post: Post, server: MailServer, by_smtp: dict[str, Any], full: bool
):
    ada, seconds = registered(), FULL if full else SECONDS
    server.data = outage = Outage(seconds, 3)
    async with post.mailer(**by_smtp):
        causes = [await post.auth.say(ada), await post.auth.say(asked(lives=3600))]
        causes.append(await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id))
        for cause in causes:
            await post.settled(cause, "sent", within=2 * seconds + 30)
    copies = Counter(mail["Message-ID"] for mail in server.mails)
    assert len(copies) == len(causes)
    assert copies.total() == outage.refused + len(causes)
    assert outage.refused >= len(causes)
    assert Counter(type(said) for said in await post.said()) == {MailSent: len(causes)}
