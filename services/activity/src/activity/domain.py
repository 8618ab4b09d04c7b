"""What a person reads about an event, and what of an event may be kept. Pure."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from events.catalog.auth import ProfileChanged, RolesChanged, UserRegistered, UserSignedIn, UserSignedOut
from events.catalog.mailer import MailFailed, MailSent
from events.catalog.patch import said
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

Action: TypeAlias = Literal[
    "todo_created",
    "todo_toggled",
    "todo_edited",
    "todo_deleted",
    "todo_restored",
    "todo_purged",
    "todo_due_soon",
    "todo_overdue",
    "user_registered",
    "user_signed_in",
    "user_signed_out",
    "profile_changed",
    "roles_changed",
    "mail_sent",
    "mail_failed",
]

ACTIONS: Mapping[type[msgspec.Struct], tuple[Action, tuple[str, ...]]] = {
    UserRegistered: ("user_registered", ()),
    UserSignedIn: ("user_signed_in", ("session_id",)),
    UserSignedOut: ("user_signed_out", ("session_id", "reason")),
    ProfileChanged: ("profile_changed", ()),
    RolesChanged: ("roles_changed", ("roles",)),
    MailSent: ("mail_sent", ("letter_id", "kind")),
    MailFailed: ("mail_failed", ("letter_id", "kind", "reason")),
}
"""Events that a person's log shows: under which action, with which of their fields as details."""

TODO_ACTIONS: Final[Mapping[type[TodoEvent], Action]] = {
    TodoCreated: "todo_created",
    TodoToggled: "todo_toggled",
    TodoEdited: "todo_edited",
    TodoDeleted: "todo_deleted",
    TodoRestored: "todo_restored",
    TodoPurged: "todo_purged",
    TodoDueSoon: "todo_due_soon",
    TodoOverdue: "todo_overdue",
}
"""The same for to-dos: their entries always tell id, title, priority and whether completed."""

WHOLE: Final = (TodoCreated, TodoToggled, TodoDeleted, TodoRestored)
"""What tells all of a to-do that an entry tells."""

DOINGS: Final[tuple[Action, ...]] = ("todo_created", "todo_toggled", "todo_edited", "todo_deleted", "todo_restored")
"""What people do themselves; who did none of it was not active. The rest is the clock's."""


class KnownTodo(msgspec.Struct, frozen=True):
    """What an entry tells of a to-do."""

    id: UUID
    title: str = ""
    priority: int = 3
    completed: bool = False


def known_after(known: KnownTodo | None, event: TodoEvent) -> KnownTodo:
    """What is known of a to-do after one more event; most events tell all of it, an edit what changed."""
    before = known or KnownTodo(event.todo_id)
    title, priority = getattr(event, "title", UNSET), getattr(event, "priority", UNSET)
    return KnownTodo(
        before.id,
        before.title if title is UNSET else title,
        before.priority if priority is UNSET else priority,
        getattr(event, "completed", before.completed),
    )


def todo_entry(known: KnownTodo, event: TodoEvent) -> tuple[Action, Mapping[str, Any]]:
    """Action and details of an event of a to-do, of which so much is known after it."""
    details = {"todo_id": known.id, "title": known.title, "priority": known.priority, "completed": known.completed}
    return TODO_ACTIONS[type(event)], details | _more(event)


def _more(event: TodoEvent) -> dict[str, Any]:
    match event:
        case TodoEdited():
            return {"changed": [name for name in said(event) if name not in {"todo_id", "wall_time"}]}
        case TodoDueSoon() | TodoOverdue():
            return {"due_at": event.due_at}
    return {}


def entry_of(event: msgspec.Struct) -> tuple[Action, Mapping[str, Any]] | None:
    """Action and details of an event; None for what no person's log shows.

    A code is mailed before anybody is known: the subject of its event is a challenge, not a person.
    """
    shown = ACTIONS.get(type(event))
    if shown is None or (isinstance(event, MailSent | MailFailed) and event.kind == "code"):
        return None
    action, names = shown
    fields = asdict(event)
    if isinstance(event, ProfileChanged):
        # Which, never what: a log that lives for long is no place for a name.
        changed = sorted(said(event).keys() - {"user_id"})
        return action, {"fields": changed}
    return action, {name: fields[name] for name in names}


def without_seal(raw: bytes) -> bytes:
    """The data of an OTP event without its sealed code: it would outlive the code in the archive."""
    data = msgspec.json.decode(raw, type=dict[str, object])
    return msgspec.json.encode({name: value for name, value in data.items() if name != "sealed"})
