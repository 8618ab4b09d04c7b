"""What a person reads about an event."""

from uuid import UUID

import msgspec
import pytest

from activity.domain import entry_of, without_seal
from events.catalog.auth import OtpVerified, ProfileChanged, UserRegistered, UserSignedIn, UserSignedOut
from events.catalog.mailer import MailFailed, MailSent
from events.catalog.todos import TodoCreated, TodoToggled

A, B = UUID(int=1), UUID(int=2)
TODO = {"todo_id": A, "title": "우유 사기", "priority": 2, "completed": False}


@pytest.mark.parametrize(
    "event",
    [
        TodoCreated(description="두 팩", due_at=None, remind_minutes_before=None, **TODO),
        TodoToggled(**TODO),
    ],
)
def test_a_to_do_is_shown_with_all_four_details(event: msgspec.Struct) -> None:
    shown = entry_of(event)
    assert shown is not None
    assert shown[1] == TODO


@pytest.mark.parametrize(
    ("event", "action", "details"),
    [
        (UserRegistered(user_id=A, sealed_contact="k.x", locale="ko", timezone=None), "user_registered", {}),
        (ProfileChanged(user_id=A, name="김하늘", locale=None), "profile_changed", {"fields": ["locale", "name"]}),
        (UserSignedIn(user_id=A, session_id=B), "user_signed_in", {"session_id": B}),
        (
            UserSignedOut(user_id=A, session_id=B, reason="logout"),
            "user_signed_out",
            {"session_id": B, "reason": "logout"},
        ),
        (
            MailSent(letter_id=A, kind="welcome", cause=B, waited_ms=1),
            "mail_sent",
            {"letter_id": A, "kind": "welcome"},
        ),
    ],
)
def test_what_a_person_did_is_shown_without_what_is_sealed(
    event: msgspec.Struct, action: str, details: dict[str, object]
) -> None:
    assert entry_of(event) == (action, details)


@pytest.mark.parametrize(
    "event",
    [
        OtpVerified(challenge_id=A, user_id=B),
        MailSent(letter_id=A, kind="code", cause=B, waited_ms=1),
        MailFailed(letter_id=A, kind="code", cause=B, reason="expired"),
    ],
)
def test_what_belongs_to_a_challenge_is_in_no_persons_log(event: msgspec.Struct) -> None:
    assert entry_of(event) is None


def test_an_otp_event_is_kept_without_its_sealed_code() -> None:
    assert msgspec.json.decode(without_seal(b'{"challenge_id":"1","sealed":"k.x"}')) == {"challenge_id": "1"}
