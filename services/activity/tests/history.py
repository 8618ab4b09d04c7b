"""A small known history with something in every figure: what docs/analysts.md shows, and what an analyst may read."""

from typing import Final
from uuid import UUID, uuid4

import msgspec
from reporting import Diary, at

from events.catalog.auth import OtpRejected, OtpRequested, OtpVerified, UserRegistered
from events.catalog.mailer import MailFailed, MailKind, MailSent
from events.catalog.notifier import NotificationDelivered, NotificationFailed

ANN: Final = UUID("aaaaaaaa-0000-7000-8000-000000000000")
BOB: Final = UUID("bbbbbbbb-0000-7000-8000-000000000000")
CY: Final = UUID("cccccccc-0000-7000-8000-000000000000")


async def live(diary: Diary) -> None:
    """Two weeks of Ann and Cy in Seoul, and of Bob, who moves there from New York and is heard of late; all built."""
    await sign_in(diary, ANN, "2025-11-03T00:00", waited_ms=800)
    first, second, _ = await create(diary, ANN, *["2025-11-03T01:00"] * 3)
    await toggle(diary, ANN, "2025-11-03T14:30", first)
    await toggle(diary, ANN, "2025-11-03T15:10", second)
    await tell_of_completions(diary, ANN, "2025-11-03T15:12")
    await sign_in(diary, BOB, "2025-11-04T14:00", zone="America/New_York", waited_ms=1200, misses=1)
    third, _ = await create(diary, BOB, *["2025-11-04T15:00"] * 2)
    await ask_for_code(diary, "2025-11-05T03:00", waited_ms=3100)
    await toggle(diary, BOB, "2025-11-06T15:00", third)
    await say(diary, BOB, "2025-11-06T15:02", sent("completion", 95_000), feed="MAILER")
    await sign_in(diary, CY, "2025-11-11T00:00", waited_ms=900)
    [fourth] = await create(diary, CY, "2025-11-11T00:10")
    await toggle(diary, CY, "2025-11-13T00:10", fourth)
    await toggle(diary, CY, "2025-11-13T00:20", fourth, done=False)
    await miss(diary, ANN, "2025-11-14T09:00")
    await create(diary, ANN, "2025-11-14T10:00")
    await create(diary, BOB, "2025-11-17T15:30", "2025-11-17T16:00")
    # He moved before he made these: what follows is heard last.
    diary.clock = lambda: at("2025-11-18T09:00")
    await diary.move(BOB, "2025-11-17T12:00", "Asia/Seoul")
    await diary.build()


async def say(diary: Diary, subject: UUID, when: str, *events: msgspec.Struct, feed: str = "") -> None:
    """Heard at once."""
    diary.clock = lambda: at(when)
    await diary.hear(subject, when, *events, feed=feed)


async def ask_for_code(diary: Diary, when: str, *, waited_ms: int) -> UUID:
    challenge = uuid4()
    asked = OtpRequested(challenge_id=challenge, sealed="s", locale=None, expires_at=at(when))
    await say(diary, challenge, when, asked, feed="OTP")
    await say(diary, challenge, when, sent("code", waited_ms), feed="MAILER")
    return challenge


async def sign_in(
    diary: Diary, person: UUID, when: str, *, waited_ms: int, zone: str | None = None, misses: int = 0
) -> None:
    """The first time: a code is asked for, answered, wrongly before where it is missed, and its person registered."""
    challenge = await ask_for_code(diary, when, waited_ms=waited_ms)
    wrong = [OtpRejected(challenge_id=challenge, reason="wrong")] * misses
    registered = UserRegistered(user_id=person, sealed_contact="s", locale=None, timezone=zone)
    verified = OtpVerified(challenge_id=challenge, user_id=person)
    await say(diary, person, when, *wrong, verified, registered, feed="AUTH")


async def create(diary: Diary, person: UUID, *when: str) -> list[UUID]:
    diary.clock = lambda: at(when[-1])
    return await diary.create(person, *when)


async def toggle(diary: Diary, person: UUID, when: str, todo: UUID, *, done: bool = True) -> None:
    diary.clock = lambda: at(when)
    await diary.toggle(person, when, todo, done=done)


async def miss(diary: Diary, person: UUID, when: str) -> None:
    diary.clock = lambda: at(when)
    await diary.miss(person, when)


async def tell_of_completions(diary: Diary, person: UUID, when: str) -> None:
    """One letter tells of both; of two pushes one arrives, and two letters about a deadline come to nothing."""
    await say(diary, person, when, sent("completion", 70_000, others=(uuid4(),)), feed="MAILER")
    push = {"delivery_id": uuid4(), "channel": "push", "cause": uuid4(), "kind": "completion"}
    pushed = NotificationDelivered(**push, waited_ms=1500)
    failed = NotificationFailed(**push, reason="unregistered")
    await say(diary, person, when, pushed, failed, feed="NOTIFIER")
    late = [
        MailFailed(letter_id=uuid4(), kind="overdue", cause=uuid4(), reason=reason) for reason in ("expired", "unknown")
    ]
    await say(diary, person, when, *late, feed="MAILER")


def sent(kind: MailKind, waited_ms: int, others: tuple[UUID, ...] = ()) -> MailSent:
    return MailSent(letter_id=uuid4(), kind=kind, cause=uuid4(), waited_ms=waited_ms, others=others)
