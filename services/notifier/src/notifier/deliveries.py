"""Acting: deliveries to providers, outcomes to events. The same life as a letter's (services/mailer)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import msgspec
import structlog

from api.messages import Locale
from events.catalog.notifier import DeliveryFailure, NotificationDelivered, NotificationFailed
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Command, Context, new_command
from events.log import append_last
from events.postgres import AWAY
from events.tracing import here, hop
from events.work import Row, WorkTable, lasting
from notifier.domain import Preferences
from notifier.providers import Deferred, Provider, Push, Refused, Target, Unregistered, Unsure
from notifier.sms import code_of
from notifier.tables import SQL, preferences
from notifier.texts import Words, code_words, words_of

FEED: Final = "NOTIFIER"
CODE: Final = "phone_code"
TURN: Final = "kind <> 'phone_code', due_at"
REST_MAX: Final = 900.0
"""Seconds after which a delivery that waits for a rest to end is looked at again, whatever was heard meanwhile."""
LANES: Final = ("service = 'fcm'", "service = 'web'", "service = 'sms'")
"""A provider that hangs keeps its own workers waiting, and nobody else's."""
WORKERS: Final = 4
"""For each lane."""
Settled = Literal["sent", "failed", "unknown", "expired"]
_SETTLED_AS: Final[dict[DeliveryFailure, Settled]] = {"unknown": "unknown", "expired": "expired"}

log = structlog.get_logger(__name__)


class ClaimLost(Exception):
    """Another worker has the delivery now."""


class Resting(Exception):
    """The person is not to be disturbed for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__("not to be disturbed")
        self.seconds = seconds


class Capped(Exception):
    """The person got as many messages as a day allows."""


_REASONS: Final[Mapping[type[Exception], DeliveryFailure]] = {
    Unregistered: "unregistered",
    Refused: "refused",
    Capped: "capped",
    Unsure: "unknown",
}


class Deliveries:
    """Delivers what the table `delivery` holds while `run` runs; `providers` by the service that devices name.

    `phone_key` makes the codes that prove a phone; `sms_per_day` is how many messages a person gets in 24 hours.
    """

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        table: WorkTable,
        codec: Codec,
        providers: Mapping[str, Provider],
        clock: Clock,
        on_settled: Callable[[], None],
        phone_key: bytes | None = None,
        sms_per_day: int = 20,
    ) -> None:
        self._pool = pool
        self._table = table
        self._codec = codec
        self._providers = providers
        self._clock = clock
        self._on_settled = on_settled
        self._phone_key = phone_key
        self._sms_per_day = sms_per_day

    async def run(self) -> None:
        """Deliver until cancelled."""
        await self._table.run(self._deliver, judge=self._judge, expire=self._expire, workers=WORKERS, lanes=LANES)

    async def _deliver(self, row: Row) -> None:
        """One attempt."""
        try:
            await self._attempt(row)
        except ClaimLost:
            log.info("a delivery is another worker's now", delivery=str(row["id"]))
        except Resting as error:
            seconds = min(error.seconds, REST_MAX)
            await lasting(row, lambda: self._pool.execute(SQL.hold_delivery, row["id"], row["token"], seconds))
        except Deferred as error:
            await self._queue_again(row, error)
        except (Unregistered, Refused, Capped, Unsure) as error:
            await self._fail(row, _REASONS[type(error)], str(error))
        else:
            waited = max(0, round((self._clock() - row["happened_at"]).total_seconds() * 1000))
            told = NotificationDelivered(**_about(row), waited_ms=waited)
            await self._settle(row, "sent", told)

    async def _attempt(self, row: Row) -> None:
        target = await self._pool.fetchrow(SQL.target, row["device_id"], row["user_id"])
        if target is None:
            raise Unregistered("no device")
        if row["kind"] != CODE:
            await self._let_rest(row["user_id"])
            await self._let_pay(row)
        provider = self._providers.get(target["service"])
        if provider is None:
            raise Refused("not configured")

        async def mark() -> None:
            try:
                ours = await self._table.sending(row)
            except AWAY as error:  # marked or not: nothing was sent
                raise Deferred(type(error).__name__) from None
            if not ours:
                raise ClaimLost

        address = {name: target[name] or "" for name in Target.__struct_fields__}
        with hop(f"send {target['service']}", "client"):
            await provider.send(Target(**address), self._push(row, target["locale"]), mark)

    async def _queue_again(self, row: Row, error: Deferred) -> None:
        """Until the database answers: a row left past its mark would be taken for one that may have arrived."""
        await lasting(row, lambda: self._table.retry(row, str(error), after=error.after))

    def _push(self, row: Row, locale: Locale) -> Push:
        lives = max(1, int((row["expires_at"] - self._clock()).total_seconds()))
        return Push(tag=str(row["cause"]), kind=row["kind"], words=self._words(row, locale), lives=lives)

    def _words(self, row: Row, locale: Locale) -> Words:
        if row["kind"] != CODE:
            return words_of(row["kind"], msgspec.json.decode(row["data"]), locale)
        if self._phone_key is None:
            raise Refused("not configured")
        return code_words(code_of(self._phone_key, row["cause"]), locale)

    async def _let_rest(self, person: UUID) -> None:
        now = self._clock()
        chosen = (await preferences(self._pool, [person])).get(person, Preferences())
        if (until := chosen.rests_until(now)) is not None:
            raise Resting((until - now).total_seconds())

    async def _let_pay(self, row: Row) -> None:
        """Messages cost money: the first so many of a day go, by when they were written."""
        if row["channel"] == "sms" and await self._pool.fetchval(SQL.sms_before, row["id"]) >= self._sms_per_day:
            raise Capped("capped")

    async def _judge(self, row: Row) -> None:
        await self._fail(row, "unknown", "the worker ended")

    async def _expire(self, row: Row) -> None:
        await self._fail(row, "expired", "expired")

    async def _fail(self, row: Row, reason: DeliveryFailure, detail: str) -> None:
        told = NotificationFailed(**_about(row), reason=reason)
        await self._settle(row, _SETTLED_AS.get(reason, "failed"), told, detail)

    async def _settle(
        self, row: Row, state: Settled, event: NotificationDelivered | NotificationFailed, detail: str | None = None
    ) -> None:
        """Write the outcome and tell it, both or neither; until the database answers, with the same ids."""
        command = self._command(row, event)
        gone = isinstance(event, NotificationFailed) and event.reason == "unregistered"
        await lasting(row, lambda: self._settle_once(row, state, command, detail, gone=gone))
        self._on_settled()

    async def _settle_once(self, row: Row, state: Settled, command: Command, detail: str | None, *, gone: bool) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            if gone:
                await connection.execute(SQL.remove_device, row["device_id"], row["user_id"])
            if await self._table.settle(connection, row, state, detail):
                await append_last(connection, FEED, command)

    def _command(self, row: Row, event: NotificationDelivered | NotificationFailed) -> Command:
        context = Context(
            time=self._clock(),
            correlation_id=row["correlation_id"],
            causation_id=str(row["cause"]),
            actor="system",
            traceparent=here() or row["traceparent"],
        )
        change = Change(aggregate=row["id"], expected=0, subject=row["user_id"], events=[event])
        return new_command(self._codec, context, change)


def _about(row: Row) -> dict[str, Any]:
    """What every event about a delivery says of it."""
    return {"delivery_id": row["id"], "channel": row["channel"], "cause": row["cause"], "kind": row["kind"]}
