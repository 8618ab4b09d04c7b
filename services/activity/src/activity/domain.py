"""What a person reads about an event, and what of an event may be kept. Pure."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import asdict

from events.catalog.auth import ProfileChanged, UserRegistered, UserSignedIn, UserSignedOut
from events.catalog.mailer import MailFailed, MailSent
from events.catalog.todos import TodoCreated, TodoToggled

Action: TypeAlias = Literal[
    "todo_created",
    "todo_toggled",
    "user_registered",
    "user_signed_in",
    "user_signed_out",
    "profile_changed",
    "mail_sent",
    "mail_failed",
]

ACTIONS: Mapping[type[msgspec.Struct], tuple[Action, tuple[str, ...]]] = {
    TodoCreated: ("todo_created", ("todo_id", "title", "priority", "completed")),
    TodoToggled: ("todo_toggled", ("todo_id", "title", "priority", "completed")),
    UserRegistered: ("user_registered", ()),
    UserSignedIn: ("user_signed_in", ("session_id",)),
    UserSignedOut: ("user_signed_out", ("session_id", "reason")),
    ProfileChanged: ("profile_changed", ()),
    MailSent: ("mail_sent", ("letter_id", "kind")),
    MailFailed: ("mail_failed", ("letter_id", "kind", "reason")),
}
"""Events that a person's log shows: under which action, with which of their fields as details."""


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
        changed = sorted(name for name, value in fields.items() if name != "user_id" and value is not msgspec.UNSET)
        return action, {"fields": changed}
    return action, {name: fields[name] for name in names}


def without_seal(raw: bytes) -> bytes:
    """The data of an OTP event without its sealed code: it would outlive the code in the archive."""
    data = msgspec.json.decode(raw)
    return msgspec.json.encode({name: value for name, value in data.items() if name != "sealed"})
