"""Every feed and its stream, declared once. `streams` applies this; services only check it."""

import re
from typing import Final

from events.catalog import auth
from events.envelope import ERASED
from events.feed import Feed

OTP_MAX_AGE = 15 * 60.0
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}(?<!_owner)")
_OTHERS: Final = frozenset({"admin", "analyst", "api", "events", "gateway", "local", "nats", "ops", "postgres"})


def _auth_subject(wire_name: str) -> str:
    """The subject of a type's messages in auth's space, also of what no service owns (`core.Erased.v1`)."""
    return f"ev.auth.*.{wire_name.split('.')[1]}"


_OTP = "auth.OtpRequested.v1"

FEEDS: dict[str, Feed] = {
    feed.name: feed
    for feed in (
        Feed(name="OTP", service="auth", subjects=(_auth_subject(_OTP),), max_age=OTP_MAX_AGE, trimmed=True),
        Feed(
            name="AUTH",
            service="auth",
            subjects=tuple(_auth_subject(name) for name in (*auth.TYPES, ERASED) if name != _OTP),
        ),
        Feed(name="TODOS", service="todos", subjects=("ev.todos.>",)),
        Feed(name="MAILER", service="mailer", subjects=("ev.mailer.>",)),
        Feed(name="ACTIVITY", service="activity", subjects=("ev.activity.>",)),
        Feed(name="NOTIFIER", service="notifier", subjects=("ev.notifier.>",)),
    )
}

HEARS: dict[str, tuple[str, ...]] = {
    "auth": (),
    "todos": ("AUTH",),
    "mailer": ("OTP", "AUTH", "TODOS", "ACTIVITY"),
    "activity": ("OTP", "AUTH", "TODOS", "MAILER", "ACTIVITY", "NOTIFIER"),
    "notifier": ("AUTH", "TODOS", "ACTIVITY"),
}
"""The feeds that each service hears: what its NATS user may read, what its published contract receives."""

CORE: dict[str, tuple[str, ...]] = {"core.EventsHeard.v1": ("TODOS", "MAILER", "NOTIFIER")}
"""The feeds that carry a type which several services say. activity's own hearing is in its archive."""


def guests_of(text: str) -> dict[str, tuple[str, ...]]:
    """Services from elsewhere that hear and say nothing, as the setting GUESTS names them, with their feeds.

    `tally=TODOS,mirror=AUTH+TODOS`; empty: none. Raises `ValueError` for what cannot be.
    """
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    guests = {name: tuple(feeds.split("+")) for name, _, feeds in pairs}
    if len(guests) < len(pairs) or not all(_NAME.fullmatch(name) for name in guests):
        raise ValueError("must be a list of name=FEED+FEED with distinct names in small letters, separated by commas")
    if taken := guests.keys() & (HEARS.keys() | _OTHERS):
        raise ValueError(f"{', '.join(sorted(taken))}: a name that is taken")
    if strange := sorted({feed for feeds in guests.values() for feed in feeds} - FEEDS.keys()):
        raise ValueError(f"no feed is called {', '.join(map(repr, strange))}; there are {', '.join(FEEDS)}")
    return guests


def feeds_of(service: str) -> tuple[Feed, ...]:
    """The feeds that a service publishes."""
    return tuple(feed for feed in FEEDS.values() if feed.service == service)
