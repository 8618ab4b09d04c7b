"""A part of a service as a process of its own, to be killed and stopped: `python part.py relay|consumer DB NATS`.

The consumer copies what it hears of TODOS into table `heard`, in the transaction of its checkpoint. With HOLD set it
says on stdout when a batch is applied and not yet committed, so that a test can kill it there.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.catalog.types import TYPES
from events.codec import Codec
from events.consumer import Consumer
from events.health import Health
from events.hearing import Event, Hears
from events.postgres import Connection, dialer
from events.process import run
from events.relay import Relay
from events.telemetry import configure_logging

HEARD = """
insert into heard (seq, id, aggregate, version)
select * from unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::bigint[])
"""


async def copy(connection: Connection, events: Sequence[Event]) -> None:
    envelopes = [event.envelope for event in events]
    await connection.execute(
        HEARD, *([getattr(e, name) for e in envelopes] for name in ("seq", "id", "aggregate", "version"))
    )
    if os.environ.get("HOLD"):
        print(f"applied {envelopes[0].seq} {envelopes[-1].seq}", flush=True)
        await asyncio.sleep(float(os.environ["HOLD"]))


async def main(part: str, database: str, nats: str) -> None:
    configure_logging(part)
    dial = dialer(database, application=part)
    broker = Broker(nats, name=part)
    if part == "relay":
        relay = Relay(FEEDS["TODOS"], dial, broker, window=int(os.environ.get("WINDOW", "100")))
        tasks = [broker.run, relay.run]
    else:
        consumer = Consumer("activity", [Hears(FEEDS["TODOS"], copy)], dial, broker, Codec(TYPES))
        tasks = [broker.run, consumer.run]

    async def serve() -> None:
        print("started", flush=True)
        await asyncio.Event().wait()

    await run(server=serve, tasks=tasks, health=Health())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
