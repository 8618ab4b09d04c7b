"""A person's month as it might have been, by chance that a seed decides: what they did, and what became of it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

FIRST: Final = datetime(2026, 3, 7, tzinfo=UTC)
"""A day before New York changes its clocks; Berlin does on 29 March, Auckland on 5 April."""
DAYS: Final = 31
ZONES: Final = ("Asia/Seoul", "America/New_York", "Europe/Berlin", "Pacific/Auckland", "Asia/Kolkata")
DEFAULT: Final = "Asia/Seoul"

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
START: Final = int(FIRST.timestamp()) * SECOND
END: Final = START + DAYS * DAY
QUIET: Final = END - 7 * DAY
"""From here on nobody is erased: figures as of a moment stay as they were told."""

_HOURS: Final = (3, 2, 1, 0, 0, 0, 1, 3, 6, 9, 8, 7, 5, 6, 8, 7, 6, 6, 5, 6, 8, 9, 8, 6)
"""How much is done in each hour of the day; midnight is no rest, or no day would be counted wrongly."""
_WEEKEND: Final = 0.4
_LETTERS_FAIL: Final = ("refused", "expired", "unknown", "unreadable", "gave_up")
_PUSHES_FAIL: Final = ("refused", "unregistered", "expired", "unknown", "capped")


class Happening(Struct, gc=False, kw_only=True):
    """Something that a service says, in plain columns; None where it has no such thing.

    `moment`: microseconds since 1970. `person`: whose it is. `seq` is its number in its feed, `nr` in the order heard.
    `heard` tells that consumer `channel` took up events of feed `kind` from number `first` on: those of these
    `moments`, each so many milliseconds later (`waits`).
    """

    feed: str
    what: str
    moment: int
    person: UUID | None = None
    todo: UUID | None = None
    challenge: UUID | None = None
    zone: str | None = None
    channel: str | None = None
    kind: str | None = None
    outcome: str | None = None
    waited_ms: int | None = None
    first: int = 0
    moments: Sequence[int] = ()
    waits: Sequence[int] = ()
    seq: int = 0
    nr: int = 0


def life(random: Random, nr: int) -> list[Happening]:
    """What happens with the person of a number, in the order of time. Of these numbers some move, some are erased."""
    person = _Person(random, nr)
    for day in person.days():
        person.live(day)
    return person.told()


class _Person:
    def __init__(self, random: Random, nr: int) -> None:
        self._random = random
        self._told: list[Happening] = []
        self._eagerness = random.expovariate(1 / 2.2)
        self.id = self._new_id()
        self._since = START + int(random.random() ** 2 * (DAYS - 2) * DAY) + HOUR
        self._zones: list[tuple[int, str | None]] = [(self._since, random.choice((*ZONES, *ZONES, None)))]
        self._sign_in(self._since - MINUTE, registers=True)
        for _ in range(2 if nr % 12 == 1 else 1 if nr % 6 == 1 else 0):
            self._move()
        self._erased = END
        if nr % 40 == 2 and self._since < QUIET:
            self._erased = self._since + int(random.random() * (QUIET - self._since)) + HOUR
            self._say("AUTH", "erased", self._erased)

    def days(self) -> Iterator[date]:
        """The days on which they are there."""
        first = datetime.fromtimestamp(self._since // SECOND, UTC).date()
        return (first + timedelta(days=nr) for nr in range(DAYS))

    def live(self, day: date) -> None:
        """A day: some to-dos, sometimes a sign-in; a weekly report on Mondays."""
        zone = ZoneInfo(self._zone_at(self._moment(day, 12, ZoneInfo("UTC"))) or DEFAULT)
        busy = self._eagerness * (_WEEKEND if day.weekday() >= 5 else 1)
        for _ in range(min(60, int(self._random.expovariate(1 / (busy + 0.01)) + 0.5))):
            [hour] = self._random.choices(range(24), _HOURS)
            self._todo(self._moment(day, hour, zone))
        if self._random.random() < 0.15:
            self._sign_in(self._moment(day, 9, zone))
        if self._random.random() < 0.03:
            self._say("AUTH", "renamed", self._moment(day, 20, zone))
        if day.weekday() == 0:
            self._mail(self._moment(day, 9, zone), "weekly_report")

    def told(self) -> list[Happening]:
        """Everything until they are erased, or the month ends; who delivers may say a little more."""
        ends = {"MAILER": self._erased + DAY, "NOTIFIER": self._erased + DAY}
        began = self._since - 2 * MINUTE
        told = [each for each in self._told if began <= each.moment < min(END, ends.get(each.feed, self._erased + 1))]
        return sorted(told, key=lambda each: each.moment)

    def _move(self) -> None:
        since = self._since + MINUTE + int(self._random.random() * (END - MINUTE - self._since))
        zone = self._random.choice((*ZONES, *ZONES, None))
        self._zones.append((since, zone))
        self._say("AUTH", "moved", since, zone=zone)

    def _sign_in(self, at: int, *, registers: bool = False) -> None:
        """A code is asked for and mailed, answered wrongly or rightly, or forgotten."""
        challenge = self._new_id()
        self._told.append(Happening(feed="OTP", what="requested", moment=at, challenge=challenge))
        self._mail(at, "code", challenge=challenge)
        who = None if registers else self.id
        for nr in range(self._random.choices((0, 1, 2, 4), (85, 10, 4, 1))[0]):
            at_wrong = at + (20 + nr) * SECOND + self._random.randrange(SECOND)
            self._told.append(Happening(feed="AUTH", what="rejected", moment=at_wrong, person=who, challenge=challenge))
        if registers:
            self._say("AUTH", "registered", self._since, zone=self._zones[0][1])
            self._mail(self._since, "welcome")
        if registers or self._random.random() < 0.9:
            self._say("AUTH", "verified", at + MINUTE, challenge=challenge)
            self._say("AUTH", "signed_in", at + MINUTE)
            self._say("AUTH", "signed_out", at + MINUTE + self._delay(5 * DAY))

    def _todo(self, at: int) -> None:
        """A to-do from its making on; whatever lies beyond the month is left out in the end."""
        todo, chance = self._new_id(), self._random.random
        self._say("TODOS", "created", at, todo=todo)
        if chance() < 0.3:
            self._say("TODOS", "edited", at + self._delay(3 * HOUR), todo=todo)
        done = self._complete(todo, at) if chance() < 0.75 else None
        if chance() < 0.3:
            self._due(todo, at, done)
        if chance() < 0.1:
            away = (done or at) + self._delay(2 * DAY)
            self._say("TODOS", "deleted", away, todo=todo)
            if chance() < 0.3:
                self._say("TODOS", "restored", away + self._delay(DAY), todo=todo)

    def _complete(self, todo: UUID, at: int) -> int:
        """Completed, some exactly a day after; a tenth is reopened, and most of these are completed again."""
        chance = self._random.random
        done = at + (DAY if chance() < 0.01 else self._delay(self._random.choice((HOUR, 20 * HOUR, 5 * DAY))))
        self._say("TODOS", "completed", done, todo=todo)
        self._notify(done, "completion")
        if chance() < 0.1:
            again = done + self._delay(2 * HOUR)
            self._say("TODOS", "reopened", again, todo=todo)
            if chance() < 0.8:
                self._say("TODOS", "completed", again + self._delay(DAY), todo=todo)
        return done

    def _due(self, todo: UUID, at: int, done: int | None) -> None:
        due = at + HOUR + self._delay(2 * DAY)
        for what, when in (("due_soon", due - 30 * MINUTE), ("overdue", due)):
            if done is None or done > when:
                self._say("TODOS", what, when, todo=todo)
                self._notify(when, what)

    def _notify(self, at: int, kind: str) -> None:
        """A mail, a push, or neither; some pushes are of before their kind was told."""
        if self._random.random() < 0.4:
            self._mail(at, kind)
        if self._random.random() < 0.4:
            channel = "sms" if self._random.random() < 0.05 else "push"
            outcome, waited = self._outcome(_PUSHES_FAIL, 150)
            told = kind if at - START > 2 * DAY else None
            self._say(
                "NOTIFIER", "pushed", at + (waited or 900) * 1000, kind=told, channel=channel, outcome=outcome,
                waited_ms=waited,
            )  # fmt: skip

    def _mail(self, at: int, kind: str, *, challenge: UUID | None = None) -> None:
        outcome, waited = self._outcome(_LETTERS_FAIL, 400)
        self._told.append(
            Happening(
                feed="MAILER",
                what="mailed",
                moment=at + (waited or 60_000) * 1000,
                person=None if challenge else self.id,
                challenge=challenge,
                channel="mail",
                kind=kind,
                outcome=outcome,
                waited_ms=waited,
            )
        )

    def _outcome(self, failures: tuple[str, ...], usual: int) -> tuple[str, int | None]:
        if self._random.random() < 0.04:
            return self._random.choice(failures), None
        rested = 8 * 3_600_000 if self._random.random() < 0.03 else 0
        return "sent", rested + int(usual * self._random.lognormvariate(0, 0.8))

    def _say(self, feed: str, what: str, at: int, **more: UUID | str | int | None) -> None:
        self._told.append(Happening(feed=feed, what=what, moment=at, person=self.id, **more))  # type: ignore[arg-type]

    def _zone_at(self, at: int) -> str | None:
        known = [word for word in self._zones if word[0] <= at]
        return max(known, key=lambda word: word[0])[1] if known else self._zones[0][1]

    def _moment(self, day: date, hour: int, zone: ZoneInfo) -> int:
        """Some moment of an hour where they live, also one that the clocks show twice or not at all."""
        past = self._random.randrange(HOUR)
        wall = datetime.combine(day, time(hour), zone).replace(fold=past & 1)
        return int(wall.timestamp()) * SECOND + past

    def _delay(self, mean: int) -> int:
        return int(self._random.expovariate(1 / mean)) + SECOND

    def _new_id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128))
