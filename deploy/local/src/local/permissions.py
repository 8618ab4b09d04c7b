"""What each NATS user may do: publish its own events, read the streams it hears, and nothing else."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from events.catalog.feeds import HEARS, feeds_of
from events.feed import Feed
from events.pull import names_of

_READ = ("STREAM.INFO.{0}", "STREAM.MSG.GET.{0}")
_RELAY = (*_READ, "STREAM.MSG.DELETE.{0}")
_CONSUME = ("CONSUMER.CREATE.{0}.{1}", "CONSUMER.INFO.{0}.{1}", "CONSUMER.DELETE.{0}.{1}", "CONSUMER.MSG.NEXT.{0}.{1}")
_CONSUME_ANY = ("CONSUMER.CREATE.{0}.>", "CONSUMER.INFO.{0}.*", "CONSUMER.DELETE.{0}.*", "CONSUMER.MSG.NEXT.{0}.*")


def service_permissions(
    service: str,
    *,
    says: Iterable[Feed] | None = None,
    hears: Iterable[str] | None = None,
    earlier: bool = False,
) -> dict[str, Any]:
    """The `permissions` of a service's user, as in the server's configuration.

    `says` and `hears` default to the service's own feeds and to the streams it hears; tests name others. Its inbox
    prefix is `_INBOX_<service>`, so no service sees another's answers; its server-side consumers have names of its own,
    so it disturbs no other's, unless `earlier` versions, which count on, shall run beside.
    """
    own = feeds_of(service) if says is None else tuple(says)
    heard = HEARS[service] if hears is None else tuple(hears)
    calls = [_calls(_RELAY, feed.name) for feed in own]
    calls += [_calls(("STREAM.PURGE.{0}",), feed.name) for feed in own if feed.trimmed]
    calls += [_calls(_READ, stream) for stream in heard]
    calls += [_calls(_CONSUME, stream, name) for stream in heard for name in names_of(service)]
    calls += [_calls(_CONSUME_ANY, stream) for stream in heard if earlier]
    calls.append(["$JS.API.INFO"])  # the probe of a silent connection
    allowed = sorted({call for each in calls for call in each})
    return {
        "publish": {"allow": [*([f"ev.{service}.>"] if own else []), *allowed]},
        "subscribe": {"allow": [f"_INBOX_{service}.>"]},
    }


def stack_permissions(
    services: Iterable[str] = HEARS,
    guests: Mapping[str, Iterable[str]] = MappingProxyType({}),
    *,
    earlier: bool = False,
) -> dict[str, dict[str, Any] | None]:
    """Every user of the stack with its permissions; `admin` has none, which means all. Guests hear and say nothing."""
    return {
        "admin": None,
        **{service: service_permissions(service, earlier=earlier) for service in services},
        **{guest: service_permissions(guest, says=(), hears=feeds) for guest, feeds in guests.items()},
    }


def _calls(patterns: tuple[str, ...], stream: str, consumer: str = "") -> list[str]:
    return ["$JS.API." + pattern.format(stream, consumer) for pattern in patterns]
