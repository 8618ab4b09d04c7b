"""All event types by wire name: what a consumer may meet, and what the published contracts describe."""

import msgspec

from events.catalog import activity, auth, core, mailer, notifier, todos

TYPES: dict[str, type[msgspec.Struct]] = {
    **auth.TYPES,
    **todos.TYPES,
    **mailer.TYPES,
    **activity.TYPES,
    **notifier.TYPES,
    **core.TYPES,
}
