"""A pull that was told that it ended says so at once."""

from time import monotonic

import pytest
from feeding import client, make_stream

from events.pull import Pull, PullBroken
from local.fixtures import until
from local.nats import Nats


async def test_a_pull_whose_consumer_was_deleted_while_nobody_fetched_waits_for_nothing(nats: Nats) -> None:
    await make_stream(nats)
    async with client(nats) as nc:
        pull = Pull(nc, "TODOS", "activity-1", start=1, batch=10)
        await pull.open()
        await pull._ask()

        async def is_asked() -> bool:
            return bool((await nc.jsm().consumer_info("TODOS", "activity-1")).num_waiting)

        await until(is_asked)
        await nc.jsm().delete_consumer("TODOS", "activity-1")
        await until(lambda: bool(pull._broken))
        begun = monotonic()
        with pytest.raises(PullBroken):
            await pull.fetch()
        assert monotonic() - begun < 2  # an idle fetch waits for 2.5
