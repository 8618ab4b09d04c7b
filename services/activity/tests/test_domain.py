"""What a person reads about an event."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from activity.api import details_schema
from activity.domain import KnownTodo, entry_of, known_after, todo_entry, without_seal
from events.catalog.auth import OtpVerified, ProfileChanged, RolesChanged, UserRegistered, UserSignedIn, UserSignedOut
from events.catalog.mailer import MailFailed, MailSent
from events.catalog.todos import Event as TodoEvent
from events.catalog.todos import (
    TodoCreated,
    TodoDeleted,
    TodoDueSoon,
    TodoEdited,
    TodoOverdue,
    TodoPurged,
    TodoRestored,
    TodoToggled,
)

A, B = UUID(int=1), UUID(int=2)
TODO = {"todo_id": A, "title": "우유 사기", "priority": 2, "completed": False}


DUE = {"todo_id": A, "title": "우유 사기", "priority": 2, "due_at": datetime(2026, 12, 1, tzinfo=UTC), "due_zone": None}


@pytest.mark.parametrize(
    ("event", "action", "more"),
    [
        (TodoCreated(description="두 팩", due_at=None, remind_minutes_before=None, **TODO), "todo_created", {}),
        (TodoToggled(**TODO), "todo_toggled", {}),
        (TodoDeleted(**TODO), "todo_deleted", {}),
        (TodoRestored(**TODO), "todo_restored", {}),
        (TodoEdited(todo_id=A, description=None), "todo_edited", {"changed": ["description"]}),
        (TodoDueSoon(**DUE), "todo_due_soon", {"due_at": DUE["due_at"]}),
        (TodoOverdue(**DUE), "todo_overdue", {"due_at": DUE["due_at"]}),
        (TodoPurged(todo_id=A), "todo_purged", {}),
    ],
)
def test_every_event_of_a_to_do_is_shown_with_all_four_details(
    event: TodoEvent, action: str, more: dict[str, object]
) -> None:
    known = known_after(KnownTodo(A, "우유 사기", 2), event)
    assert todo_entry(known, event) == (action, TODO | more)
    assert set(TODO | more) <= set(details_schema()["properties"])


def test_an_edit_changes_what_is_known() -> None:
    known = known_after(KnownTodo(A, "a", 3, completed=True), TodoEdited(todo_id=A, title="b", priority=1))
    assert known == KnownTodo(A, "b", 1, completed=True)


@pytest.mark.parametrize(
    ("event", "action", "details"),
    [
        (UserRegistered(user_id=A, sealed_contact="k.x", locale="ko", timezone=None), "user_registered", {}),
        (RolesChanged(user_id=A, roles=("analyst",)), "roles_changed", {"roles": ("analyst",)}),
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
    assert set(details) <= set(details_schema()["properties"])


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
