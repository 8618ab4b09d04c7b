"""Live connections: each follows its person's inbox from a number on, whichever process wrote it.

Nothing is queued for anybody: a connection that is woken reads what its inbox holds after the last number that it sent.
So nothing can be dropped, order is the inbox's, and a slow client costs one batch.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
import structlog
from msgspec import Struct

from api.messages import Locale
from api.requests import Person
from events.beat import beat
from events.clock import Clock
from events.health import Check
from events.notify import Notifier
from events.postgres import AWAY, Connection, Dial
from notifier.domain import missing
from notifier.reading import BATCH, Reader
from notifier.shapes import Authenticated, Frame, Gap, Heartbeat, Hello, News, Unread, told
from notifier.tables import last_numbers, standing

CHANNEL: Final = "inbox"
"""Where processes tell one another whose inboxes changed."""
Tell: TypeAlias = Callable[[Collection[UUID]], None]
"""Tells whose inboxes changed, after the commit."""
HEARTBEAT: Final = 20.0
BEAT: Final = 1.0
"""Seconds between looks at the time, for all lines together: a timer each, made anew for each frame, is dear."""
POLL: Final = 2.0
LOOK: Final = 200
"""People asked about at once."""
TIMEOUT: Final = 5.0
LINES: Final = 20
"""Live connections of one person in one process; one more ends the oldest."""

log = structlog.get_logger(__name__)


class Reason(Struct, frozen=True):
    """Why the server ends a connection: a close code of RFC 6455 or of ours (4000 up), and a word for programs."""

    code: int
    word: str


GONE: Final = Reason(1000, "gone")
RESTARTING: Final = Reason(1012, "restarting")
UNAVAILABLE: Final = Reason(1013, "unavailable")
MALFORMED: Final = Reason(4400, "malformed")
TICKET_INVALID: Final = Reason(4401, "ticket_invalid")
TOKEN_EXPIRED: Final = Reason(4402, "token_expired")
TOKEN_REFUSED: Final = Reason(4403, "token_refused")
TOO_SLOW: Final = Reason(4408, "too_slow")
REPLACED: Final = Reason(4409, "replaced")


class Goodbye(Exception):
    """The connection ends."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.word)
        self.reason = reason


class Line:
    """One live connection; `next` gives what to send. `seen` is the last number that was sent."""

    def __init__(
        self, pool: asyncpg.Pool, reader: Reader, clock: Clock, person: Person, locale: Locale, *, seen: int
    ) -> None:
        self.person = person
        self.seen = seen
        self.ended: Reason | None = None
        self._pool, self._reader, self._clock = pool, reader, clock
        self._locale = locale
        # What the client can count by itself: what was unread at its greeting, and each notification since.
        self._unread = self._greeted_at = 0
        self._answers: list[Frame] = []
        self._said_at = monotonic()
        self._called = asyncio.Event()
        self._news = False
        self.wake()

    def wake(self) -> None:
        """There may be something to send."""
        self._news = True
        self._called.set()

    def beat(self) -> None:
        """Time passed: there may be a heartbeat to send, or the token is over."""
        if self._left() <= 0 or monotonic() - self._said_at >= HEARTBEAT:
            self._called.set()

    def end(self, reason: Reason) -> None:
        """Let `next` raise `Goodbye`; the first reason stands."""
        self.ended = self.ended or reason
        self.wake()

    def renew(self, person: Person) -> None:
        """Live on with a fresh token of the same person; anybody else's ends it."""
        if person.id != self.person.id:
            self.end(TOKEN_REFUSED)
            return
        self.person = person
        self._answers.append(Authenticated(self._expires_at()))
        self.wake()

    async def hello(self) -> Hello:
        """What is said first; raises `Goodbye` where the inbox is out of reach."""
        try:
            stands = await standing(self._pool, self.person.id)
        except AWAY:
            raise Goodbye(UNAVAILABLE) from None
        self._unread, self._greeted_at = stands.unread, stands.last_number
        return Hello(stands.last_number, stands.unread, self._expires_at())

    async def next(self) -> Sequence[Frame]:
        """What to send next, when there is something; raises `Goodbye`."""
        while True:
            self._assert_open()
            if frames := await self._due():
                self._said_at = monotonic()
                return frames
            await self._called.wait()
            self._called.clear()

    async def _due(self) -> Sequence[Frame]:
        """What there is to say now: answers, else news, else that the line still lives, where it was long silent."""
        if self._answers:
            answers, self._answers = self._answers, []
            return answers
        if self._news:
            self._news = False
            try:
                if frames := await self._read():
                    return frames
            except AWAY as error:
                log.warning("an inbox is out of reach; its connection waits", error=type(error).__name__)
                self.wake()
                await asyncio.sleep(1)
        return [Heartbeat(self.seen)] if monotonic() - self._said_at >= HEARTBEAT else []

    def _assert_open(self) -> None:
        if self._left() <= 0:
            self.end(TOKEN_EXPIRED)
        if self.ended is not None:
            raise Goodbye(self.ended)

    async def _read(self) -> list[Frame]:
        found = await self._reader.news(self.person.id, self.seen)
        frames: list[Frame] = []
        for row in found.notifications:
            frames += self._gap(row.number - 1)
            frames.append(News(told(row, self._locale)))
            self.seen = row.number
            self._unread += row.number > self._greeted_at
        if len(found.notifications) == BATCH:
            self.wake()
        else:
            frames += self._gap(found.last_number)
            if found.unread != self._unread:
                self._unread = found.unread
                frames.append(Unread(found.unread))
        return frames

    def _gap(self, up_to: int) -> list[Frame]:
        """What lies between the last number sent and this one, or beyond it, does not come."""
        gone = missing(self.seen, up_to)
        self.seen = up_to
        return [Gap(*gone, resume=up_to)] if gone else []

    def _left(self) -> float:
        return self.person.expires - self._clock().timestamp()

    def _expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.person.expires, UTC)


class Live:
    """The live connections of this process. While `run` runs, one LISTEN wakes them; a poll is the safety net.

    `crier` tells other processes what this one changed.
    """

    def __init__(
        self, pool: asyncpg.Pool, dial: Dial, clock: Clock, refuse: Callable[[Person], bool], crier: Notifier
    ) -> None:
        self._crier = crier
        self._pool = pool
        self._reader = Reader(pool)
        self._dial = dial
        self._clock = clock
        self._refuse = refuse
        self._lines: dict[UUID, dict[Line, None]] = defaultdict(dict)  # each person's, oldest first
        self._leaving = False
        self._state = Check("live", "ok")

    def check(self) -> Check:
        """ok, or late while only the poll finds news, or nothing does."""
        return self._state

    @contextmanager
    def line(self, person: Person, locale: Locale, seen: int) -> Iterator[Line]:
        """A live connection, for as long as the block lasts."""
        line = Line(self._pool, self._reader, self._clock, person, locale, seen=seen)
        if self._leaving:
            line.end(RESTARTING)
        lines = self._lines[person.id]
        standing = [each for each in lines if each.ended is None]  # the others have not left yet
        for each in standing[: max(0, len(standing) - LINES + 1)]:
            each.end(REPLACED)
        lines[line] = None
        try:
            yield line
        finally:
            lines.pop(line, None)
            if not lines:
                self._lines.pop(person.id, None)

    def tell(self, people: Collection[UUID]) -> None:
        """These inboxes changed, and that is committed: connections here know at once, other processes by NOTIFY."""
        self._wake(people)
        self._crier.tell(people)

    def leave(self) -> None:
        """End every connection: the process leaves, the clients shall come back to another."""
        self._leaving = True
        for line in self._all():
            line.end(RESTARTING)

    async def run(self) -> None:
        """Listen, poll, read and tell the time until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reader.run())
            group.create_task(self._keep_listening())
            group.create_task(self._keep_beating())

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(beat(BEAT))
            for line in self._all():
                line.beat()

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._listen()
            except AWAY as error:
                self._state = Check("live", "late", f"news come late: {type(error).__name__}")
                await asyncio.sleep(1)

    async def _listen(self) -> None:
        connection = await self._dial()
        try:
            async with asyncio.timeout(TIMEOUT):
                await connection.add_listener(CHANNEL, lambda *told: self._hear(told[1], told[3]))
            for line in self._all():  # what was said meanwhile, nobody heard
                line.wake()
            while not connection.is_closed():
                async with asyncio.timeout(TIMEOUT):
                    await self._poll(connection)  # asked here: one that died in silence would bring no news
                self._state = Check("live", "ok")
                await asyncio.sleep(beat(POLL))
        finally:
            connection.terminate()

    def _hear(self, pid: int, payload: str) -> None:
        if pid != self._crier.pid:  # what was told here is known here
            self._wake(map(UUID, payload.split(",")))

    def _wake(self, people: Iterable[UUID]) -> None:
        for person_id in people:
            for line in self._lines.get(person_id, ()):
                line.wake()

    async def _poll(self, connection: Connection) -> None:
        """Wake whose inbox is further than what was sent; end those who may no longer be here."""
        for line in self._all():
            if self._refuse(line.person):
                line.end(TOKEN_REFUSED)
        people = list(self._lines)
        for at in range(0, len(people), LOOK):  # some at a time: thousands at once would stop all others meanwhile
            for person_id, last in (await last_numbers(connection, people[at : at + LOOK])).items():
                for line in self._lines.get(person_id, ()):
                    if line.seen != last:
                        line.wake()

    def _all(self) -> list[Line]:
        return [line for lines in self._lines.values() for line in lines]
