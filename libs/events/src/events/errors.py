"""What can go wrong, as a small tree. Messages tell the person what to do next."""


class EventsError(Exception):
    """The root of all errors that this library raises on purpose."""


class Refused(EventsError):
    """A command was refused for good; calling again with the same input refuses again."""


class VersionConflict(Refused):
    """Another command changed the aggregate first: load the state anew, decide again."""


class KeyReused(Refused):
    """An Idempotency-Key came back with another body: use a fresh key for a new request."""


class BadCommand(Refused):
    """The database rejected the data of this one command (U+0000, a duplicate event id): correct it."""


class NotNow(EventsError):
    """Nothing was refused for good: call again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(NotNow):
    """The queue in front of the log is full; the command was not taken."""


class Unavailable(NotNow):
    """The database could not be reached in time; the command was never sent."""


class OutcomeUnknown(NotNow):
    """The command was sent and its answer did not come in time: retry with the same Idempotency-Key."""


class FeedError(EventsError):
    """A feed and its stream disagree, or the stream is not as declared: an operator must decide."""


class StreamMissing(FeedError):
    """The stream does not exist: make it with `python -m events.admin streams SERVICE`."""


class StreamUnlawful(FeedError):
    """The stream's configuration is not the declared one: apply the declared one."""


class HistoryDiffers(FeedError):
    """A number holds another event than the one known under it: stop until an operator decides."""


class NotMigrated(EventsError):
    """A database lacks what this version needs: `python -m events.admin migrate SERVICE` first."""


class Undecodable(EventsError):
    """A message of a known type does not decode: a poison message."""


class BadAct(EventsError):
    """An operator's act that lacks something; the message says what."""


class LostFence(EventsError):
    """Another instance moved the checkpoint: this one must become a standby."""


class BadSettings(EventsError):
    """Settings are missing or wrong; the message lists every one of them."""
