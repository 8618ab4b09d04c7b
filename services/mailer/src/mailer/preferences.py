"""Which letters a person wants, decided: everything until they say otherwise. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, get_args
from uuid import UUID

from msgspec import Struct

from events.catalog.mailer import MailPreferencesChanged, MailUnsubscribed, NoticeKind
from events.catalog.patch import said
from events.decider import Decider

KINDS: Final[Sequence[NoticeKind]] = get_args(NoticeKind)


class Preferences(Struct, frozen=True):
    """What a person wants no letters of."""

    off: frozenset[NoticeKind] = frozenset()


class Choose(Struct, frozen=True):
    """Switch kinds on or off; what is left out stays."""

    user_id: UUID
    wanted: Mapping[str, bool]


class Unsubscribe(Struct, frozen=True):
    """Want no more of a kind, by the link in a letter."""

    user_id: UUID
    kind: NoticeKind


Command: TypeAlias = Choose | Unsubscribe
Event: TypeAlias = MailPreferencesChanged | MailUnsubscribed


def decide(command: Command, preferences: Preferences) -> Sequence[Event]:
    """The events of a command; none where it is already so."""
    if isinstance(command, Unsubscribe):
        is_off = command.kind in preferences.off
        return [] if is_off else [MailUnsubscribed(user_id=command.user_id, kind=command.kind)]
    changed: dict[str, Any] = {
        kind: wanted for kind, wanted in command.wanted.items() if wanted == (kind in preferences.off)
    }
    return [MailPreferencesChanged(user_id=command.user_id, **changed)] if changed else []


def evolve(preferences: Preferences, event: Event) -> Preferences:
    """The state after one more event."""
    if isinstance(event, MailUnsubscribed):
        return Preferences(preferences.off | {event.kind})
    wanted = said(event)
    on = {kind for kind in KINDS if wanted.get(kind) is True}
    off = {kind for kind in KINDS if wanted.get(kind) is False}
    return Preferences((preferences.off - on) | off)


PREFERENCES: Final[Decider[Command, Event, Preferences]] = Decider(decide, evolve, Preferences())
