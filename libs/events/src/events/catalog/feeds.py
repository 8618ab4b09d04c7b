"""Every feed and its stream, declared once. `streams` applies this; services only check it."""

from events.catalog import auth
from events.envelope import ERASED
from events.feed import Feed

OTP_MAX_AGE = 15 * 60.0


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


def feeds_of(service: str) -> tuple[Feed, ...]:
    """The feeds that a service publishes."""
    return tuple(feed for feed in FEEDS.values() if feed.service == service)
