"""News by mail, through the gateway: it comes, once, until its person stops it with one click."""

import re
from email.message import EmailMessage

from local.fixtures import until
from system import Person, System

ONE_CLICK = {"content-type": "application/x-www-form-urlencoded"}
IN_A_WHILE = 120.0
"""Seconds, past the time in which completions are gathered."""


async def test_completions_come_in_one_letter_until_its_link_stops_them(world: System) -> None:
    async with world.person() as me:
        await until(lambda: about(me, "환영"))
        await complete(me, "우유 사기", "빵 사기")
        await until(lambda: gathered(world, me.id, 2))  # what is heard later waits from then on
        with world.later(IN_A_WHILE):
            [letter] = await until(lambda: about(me, "할 일 2개를 완료했습니다"))
        text = body(letter)
        assert "- 우유 사기\n- 빵 사기\n" in text
        link = re.search(r"http\S+", text)
        assert link
        assert f"<{link[0]}>" == letter["List-Unsubscribe"].strip()
        shown = await me.http.get(link[0])
        assert (shown.status_code, "<button>" in shown.text) == (200, True)
        assert (await me.http.get("/mail/preferences")).json()["data"]["completion"] is True
        stopped = await me.http.post(link[0], content="List-Unsubscribe=One-Click", headers=ONE_CLICK)
        assert stopped.status_code == 200
        assert (await me.http.get("/mail/preferences")).json()["data"]["completion"] is False
        await complete(me, "버터 사기")
        await until(lambda: gathered(world, me.id, 3))
        with world.later(IN_A_WHILE):
            query = (
                "select state from letter where subject = $1 and kind = 'completion' order by happened_at desc limit 1"
            )
            await until(lambda: skipped(world, query, me.id))
        assert about(me, "버터") == []


async def gathered(world: System, person: str, count: int) -> bool:
    query = "select count(*) from letter where subject = $1 and kind = 'completion'"
    return bool(await world.value("mailer", query, person) == count)


async def skipped(world: System, query: str, person: str) -> bool:
    return bool(await world.value("mailer", query, person) == "skipped")


async def complete(me: Person, *titles: str) -> None:
    for title in titles:
        created = await me.create(title)
        assert (await me.http.patch(f"{created.headers['location']}/toggle")).status_code == 200


def about(me: Person, subject: str) -> list[EmailMessage]:
    return [mail for mail in me.system.stack.mails_to(me.email) if subject in mail["Subject"]]


def body(letter: EmailMessage) -> str:
    part = letter.get_body(("plain",))
    assert part is not None
    return part.get_content().replace("\r\n", "\n")
