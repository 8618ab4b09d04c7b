"""A person, decided: registered by the first right code, a profile of their own choice, roles that operators grant."""

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from events.catalog.auth import Locale, ProfileChanged, Role, RolesChanged, UserRegistered, WallClock
from events.catalog.patch import said
from events.decider import Decider


class Person(Struct, frozen=True, kw_only=True):
    """What its events made of a person."""

    name: str | None = None
    locale: Locale | None = None
    timezone: str | None = None
    quiet_from: WallClock | None = None
    quiet_to: WallClock | None = None
    roles: tuple[str, ...] = ()


class Register(Struct, frozen=True, kw_only=True):
    """A person proved to own an address."""

    user_id: UUID
    sealed_contact: str


class ChangeProfile(Struct, frozen=True, kw_only=True):
    """A person chooses; what is unset stays, null takes a choice back."""

    user_id: UUID
    name: str | UnsetType | None = UNSET
    locale: Locale | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    quiet_from: WallClock | UnsetType | None = UNSET
    quiet_to: WallClock | UnsetType | None = UNSET


class ChangeRole(Struct, frozen=True, kw_only=True):
    """An operator grants or revokes a role."""

    user_id: UUID
    role: Role
    change: Literal["grant", "revoke"]


Command: TypeAlias = Register | ChangeProfile | ChangeRole
Event: TypeAlias = UserRegistered | ProfileChanged | RolesChanged


class NobodyThere(Exception):
    """Nobody registered, so there is nothing to change."""


def decide(command: Command, person: Person | None) -> Sequence[Event]:
    """The events of a command; none where it is already so. Raises `NobodyThere`."""
    if isinstance(command, Register):
        contact = command.sealed_contact
        registered = UserRegistered(user_id=command.user_id, sealed_contact=contact, locale=None, timezone=None)
        return [] if person else [registered]
    if person is None:
        raise NobodyThere
    return _profile(command, person) if isinstance(command, ChangeProfile) else _roles(command, person)


def _profile(command: ChangeProfile, person: Person) -> Sequence[ProfileChanged]:
    changed = {name: value for name, value in _chosen(command).items() if value != getattr(person, name)}
    return [ProfileChanged(user_id=command.user_id, **changed)] if changed else []


def _roles(command: ChangeRole, person: Person) -> Sequence[RolesChanged]:
    before, named = set(person.roles), {command.role}
    after = before | named if command.change == "grant" else before - named
    return [RolesChanged(user_id=command.user_id, roles=tuple(sorted(after)))] if after != before else []


def evolve(person: Person | None, event: Event) -> Person | None:
    """The state after one more event."""
    match event:
        case UserRegistered():
            return Person(locale=event.locale, timezone=event.timezone)
        case ProfileChanged():
            return person and replace(person, **_chosen(event))
        case RolesChanged():
            return person and replace(person, roles=event.roles)


def _chosen(profile: ChangeProfile | ProfileChanged) -> dict[str, Any]:
    """The fields that are set, but for whose they are."""
    return {name: value for name, value in said(profile).items() if name != "user_id"}


PERSON: Final[Decider[Command, Event, Person | None]] = Decider(decide, evolve, None)
