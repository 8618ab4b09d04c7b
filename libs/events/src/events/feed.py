"""What a feed is."""

import msgspec


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A service's numbered log and the JetStream stream of the same name.

    `subjects` are the stream's; `max_age` is in seconds, 0 keeps for ever; a `trimmed` feed drops old rows
    from its log, and its stream alone may be purged.
    """

    name: str
    service: str
    subjects: tuple[str, ...]
    max_age: float = 0.0
    trimmed: bool = False
