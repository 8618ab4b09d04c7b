"""The publisher: an acknowledgement counts for the number it carries, and only where the stream stored the message.

A stream that holds its law cannot answer so: here somebody answers in its place, over a broker that has no stream.
"""

from datetime import UTC, datetime

import pytest
from feeding import FEED, PERSON, client
from nats.aio.msg import Msg

from events.ids import uuid7
from events.publisher import Publisher, RefusedError
from local.nats import Nats


def a_row(seq: int) -> dict[str, object]:
    """A row as `read_log` gives it."""
    return {
        "seq": seq, "id": uuid7(), "type": "todos.TodoCreated.v1", "subject": PERSON, "aggregate": uuid7(),
        "version": 1, "time": datetime.now(UTC), "correlation_id": "r-1", "causation_id": "r-1", "actor": "tester",
        "traceparent": "", "data": "{}",
    }  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        b'{"stream": "TODOS", "seq": 8}',
        b'{"stream": "TODOS"}',
        b'{"stream": "TODOS", "seq": 7, "duplicate": true}',
        b'{"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence: 3"}}',
        b"no JSON",
        b"",
    ],
    ids=["another number", "no number", "a duplicate", "an error", "nonsense", "nothing"],
)
async def test_an_answer_that_is_no_acknowledgement_of_this_number_is_a_refusal(nats: Nats, answer: bytes) -> None:
    async def reply(message: Msg) -> None:
        await message.respond(answer)

    async with client(nats) as stream, client(nats, "todos") as nc:
        await stream.subscribe("ev.todos.>", cb=reply)
        await stream.flush()
        publisher = Publisher(nc, FEED)
        await publisher.open()
        with pytest.raises(RefusedError) as refusal:
            await publisher.publish([a_row(7)])
        assert refusal.value.seq == 7


async def test_a_publish_expects_its_predecessors_number_and_ends_with_its_own(nats: Nats) -> None:
    expected = []

    async def reply(message: Msg) -> None:
        expected.append((message.headers or {})["Nats-Expected-Last-Sequence"])
        await message.respond(b'{"stream": "TODOS", "seq": %d}' % (int(expected[-1]) + 1))

    async with client(nats) as stream, client(nats, "todos") as nc:
        await stream.subscribe("ev.todos.>", cb=reply)
        await stream.flush()
        publisher = Publisher(nc, FEED)
        await publisher.open()
        await publisher.publish([a_row(seq) for seq in (7, 8, 9)])
    assert expected == ["6", "7", "8"]
