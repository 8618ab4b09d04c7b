"""One person's journey over every way there is to be told: mail, inbox, live, push to an app and a browser, SMS."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs

import mailserver
import pytest
from providing import VAPID_KEY, Browser, Played, playing
from websockets.asyncio.client import ClientConnection, connect

import system
from local.fixtures import until
from system import Person, System, after_the_week, code_of, open_periods

NUMBER = "+821012345678"
KINDS = ("completion", "due_soon", "overdue", "weekly_report", "monthly_report")
MARKS = {
    "🔐": "code",
    "👋": "welcome",
    "⏰": "due_soon",
    "✅": "completion",
    "📊 주간": "weekly_report",
    "📊 월간": "monthly_report",
}
"""How subjects begin."""
REPORTS = {"week": "weekly_report", "month": "monthly_report"}
ONE_CLICK = {"content-type": "application/x-www-form-urlencoded"}
REMINDED = 330.0
"""Seconds, past the reminder and well before the deadline."""
GATHERED = 120.0
"""Seconds, past the time in which completions are gathered into one letter."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> mailserver.Certificates:
    return mailserver.make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def reaching(certificates: mailserver.Certificates) -> Iterator[tuple[System, int, int]]:
    """A stack that is told of a mail server and of providers, on ports where a test may listen."""
    mail, providers = system.ports.free_port(), system.ports.free_port()
    there = Played(f"http://127.0.0.1:{providers}")
    settings = {
        "SMTP_SERVER": "127.0.0.1",
        "SMTP_PORT": str(mail),
        "SMTP_USERNAME": mailserver.USERNAME,
        "SMTP_PASSWORD": mailserver.PASSWORD,
        "SMTP_CA_FILE": str(certificates.authority),
        "FROM_EMAIL": "todo@example.com",
        "FCM_ACCOUNT": there.account,
        "FCM_URL": there.url,
        "VAPID_PRIVATE_KEY": VAPID_KEY,
        "VAPID_CONTACT": "mailto:ops@example.com",
        "WEB_PUSH_SERVICES": there.url,
        "SMS_ACCOUNT_SID": "AC1",
        "SMS_AUTH_TOKEN": "secret",
        "SMS_FROM": "+15005550006",
        "SMS_URL": f"{there.url}/sms",
    }
    with system.system(**settings) as started:
        yield started, mail, providers


@pytest.mark.timeout(240)
async def test_a_person_is_told_once_on_every_way_they_chose(
    reaching: tuple[System, int, int], certificates: mailserver.Certificates
) -> None:
    world, mail, port = reaching
    async with (
        mailserver.mail_server(mail, certificates, auth=True) as post,
        playing(port) as providers,
        world.visitor() as me,
    ):
        ways = Ways(me, post.mails, providers, Browser())
        await ways.sign_in()
        ahead, periods = after_the_week(), open_periods()  # now: midnight may come before the rest is done
        reports = [REPORTS[period] for period in periods[: periods.index("week") + 1]]
        await ways.register()
        deadline = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
        fields = {"title": "우유 사기", "due_at": deadline, "remind_minutes_before": 5}
        async with ways.socket() as socket:
            made = await me.http.post("/todos/", json=fields)
            assert made.status_code == 201, made.text
            with world.later(REMINDED):
                await ways.told("due_soon", socket=socket, number=1)
                assert (await me.http.patch(f"{made.headers['location']}/toggle")).status_code == 200
                with world.later(REMINDED + GATHERED):
                    await ways.told("completion", socket=socket, number=2)
        with world.later(ahead):
            await ways.sign_in()
            async with ways.socket(last=2) as socket:
                await ways.told(*reports, socket=socket, number=2 + len(reports))
                await ways.stop("completion")
                made = await me.http.post("/todos/", json={"title": "빵 사기"})
                assert (await me.http.patch(f"{made.headers['location']}/toggle")).status_code == 200
                with world.later(ahead + GATHERED):
                    await ways.told("completion", socket=socket, number=3 + len(reports), mails=1)
                    await until(lambda: skipped(world, me.id))
                    told = (len(post.mails), len(providers.asked))
                    await replay(world, "mailer", "notifier")
                    assert (len(post.mails), len(providers.asked)) == told
        once = Counter(["due_soon", "completion", *reports])
        assert ways.by_mail() == once
        assert ways.by_fcm() == ways.by_browser() == once + Counter({"completion": 1})
        assert len(ways.messages()) == 3 + len(reports)
        inbox = (await me.http.get("/notifications/")).json()
    assert [each["number"] for each in inbox["data"]] == list(range(3 + len(reports), 0, -1))


class Ways:
    """A person with everything that can tell them something, and what it told so far."""

    def __init__(self, me: Person, mails: list[EmailMessage], providers: Played, browser: Browser) -> None:
        self.me = me
        self._mails = mails
        self._providers = providers
        self._browser = browser
        self._codes = 0

    async def sign_in(self) -> None:
        challenge = await self.me.ask_for_code()
        self._codes += 1
        letters = await until(lambda: self._with_codes() if len(self._with_codes()) == self._codes else [], within=20)
        session = (await self.me.verify(challenge, code_of(letters[-1]))).json()["data"]
        self.me.id = session["user"]["id"]
        self.me.http.headers["authorization"] = f"Bearer {session['access_token']}"

    async def register(self) -> None:
        """An app, a browser and a phone; SMS of every kind."""
        http = self.me.http
        web = {"service": "web", "endpoint": f"{self._providers.url}/web/abc", "keys": self._browser.keys}
        for device in ({"service": "fcm", "token": "an-app"}, web):
            assert (await http.post("/notifications/devices", json=device)).status_code == 201
        assert (await http.post("/notifications/phone", json={"phone_number": NUMBER})).status_code == 200
        [body] = await until(lambda: self._bodies("/sms"), within=20)
        found = re.search(r"(?<![0-9])[0-9]{6}(?![0-9])", parse_qs(body.decode())["Body"][0])
        assert found
        verified = await http.post("/notifications/phone/verify", json={"code": found[0]})
        assert verified.status_code == 200, verified.text
        chosen = {"kinds": {kind: {"sms": True} for kind in KINDS}}
        assert (await http.patch("/notifications/preferences", json=chosen)).status_code == 200

    @asynccontextmanager
    async def socket(self, last: int = 0) -> AsyncIterator[ClientConnection]:
        ticket = (await self.me.http.post("/notifications/ticket")).json()["data"]["ticket"]
        gateway = str(self.me.http.base_url).rstrip("/")
        address = f"{gateway.replace('http', 'ws', 1)}/notifications/ws?ticket={ticket}&last={last}"
        async with connect(address, origin=gateway) as socket:
            assert json.loads(await socket.recv())["type"] == "hello"
            yield socket

    async def told(self, *kinds: str, socket: ClientConnection, number: int, mails: int = 1) -> None:
        """Wait until every way told of these in some order: the last has this number, each so many letters in all."""
        frames: list[dict[str, Any]] = []
        while len(frames) < len(kinds):
            frame = json.loads(await socket.recv())
            if frame["type"] == "notification":
                frames.append(frame["notification"])
        assert [frame["number"] for frame in frames] == list(range(number + 1 - len(kinds), number + 1))
        assert sorted(frame["kind"] for frame in frames) == sorted(kinds)

        def arrived() -> bool:
            letters = all(self.by_mail()[kind] == mails for kind in kinds)
            return letters and sum(self.by_fcm().values()) == sum(self.by_browser().values()) == number

        await until(arrived, within=60)
        await until(lambda: len(self.messages()) == number, within=20)

    async def stop(self, kind: str) -> None:
        """The one click that a mail program makes (RFC 8058)."""
        [letter] = [mail for mail in self._mails if self._kind_of(mail) == kind]
        assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        link = letter["List-Unsubscribe"].strip(" <>")
        clicked = await self.me.http.post(link, content="List-Unsubscribe=One-Click", headers=ONE_CLICK)
        assert clicked.status_code == 200

    def by_mail(self) -> Counter[str]:
        kinds = Counter(self._kind_of(mail) for mail in self._mails)
        del kinds["code"], kinds["welcome"]
        return kinds

    def by_fcm(self) -> Counter[str]:
        return Counter(json.loads(body)["message"]["data"]["kind"] for body in self._bodies("/v1/projects"))

    def by_browser(self) -> Counter[str]:
        return Counter(self._browser.read(body)["kind"] for body in self._bodies("/web"))

    def messages(self) -> list[str]:
        """What came by SMS, but the code."""
        return [parse_qs(body.decode())["Body"][0] for body in self._bodies("/sms")[1:]]

    def _bodies(self, path: str) -> list[bytes]:
        return [asked["body"] for asked in self._providers.asked if asked["path"].startswith(path)]

    def _with_codes(self) -> list[EmailMessage]:
        return [mail for mail in self._mails if self._kind_of(mail) == "code"]

    def _kind_of(self, mail: EmailMessage) -> str:
        [kind] = [kind for mark, kind in MARKS.items() if mail["Subject"].startswith(mark)]
        return kind


async def replay(world: System, *services: str) -> None:
    """Everything is heard again from the start, and acted on where there is something to do."""
    rows = "select consumer, feed, seq from events.checkpoint order by 1, 2"
    before = {service: await world.rows(service, rows) for service in services}
    for service in services:
        with world.without(service):
            await world.rows(service, "update events.checkpoint set seq = 0, event_id = null")
    for service in services:

        async def heard(service: str = service) -> bool:
            return await world.rows(service, rows) == before[service]

        async def idle(service: str = service) -> bool:
            table = {"mailer": "letter", "notifier": "delivery"}[service]
            query = f"select not exists (select from {table} where settled_at is null and due_at <= now() + '1 hour')"
            return bool(await world.value(service, query))

        await until(heard, within=30)
        await until(idle, within=30)


async def skipped(world: System, person: str) -> bool:
    query = "select state from letter where subject = $1 and kind = 'completion' order by happened_at desc limit 1"
    return bool(await world.value("mailer", query, person) == "skipped")
