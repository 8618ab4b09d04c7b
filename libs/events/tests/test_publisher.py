"""The publisher: an acknowledgement counts for the number it carries, and only where the stream stored the message.

A stream that holds its law cannot answer so: here somebody answers in its place, over a broker that has no stream.
"""

from datetime import UTC, datetime

import pytest
from feeding import FEED, PERSON, client, last_seq, make_stream
from nats.aio.msg import Msg

from events.ids import uuid7
from events.publisher import WRONG_LAST_SEQUENCE, Publisher, RefusedError
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


async def test_a_batch_expects_the_number_before_it_and_is_answered_once_for_all(nats: Nats) -> None:
    heard: list[dict[str, str]] = []

    async def reply(message: Msg) -> None:
        heard.append(message.headers or {})
        if message.reply:
            await message.respond(b'{"stream": "TODOS", "seq": %d, "batch": "b", "count": 20}' % (6 + len(heard)))

    async with client(nats) as stream, client(nats, "todos") as nc:
        await stream.subscribe("ev.todos.>", cb=reply)
        await stream.flush()
        publisher = Publisher(nc, FEED)
        await publisher.open()
        await publisher.publish([a_row(seq) for seq in range(7, 27)], whole=True)
        await publisher.publish([a_row(seq) for seq in range(27, 47)], whole=True)
    assert [each.get("Nats-Expected-Last-Sequence") for each in heard] == ["6", *[None] * 19, "26", *[None] * 19]
    assert [each["Nats-Batch-Sequence"] for each in heard] == [str(nr) for nr in range(1, 21)] * 2
    assert [each.get("Nats-Batch-Commit") for each in heard] == [*[None] * 19, "1"] * 2
    assert (
        len({each["Nats-Batch-Id"] for each in heard[:20]}) == len({each["Nats-Batch-Id"] for each in heard}) - 1 == 1
    )


async def test_a_batch_is_stored_whole_or_not_at_all(nats: Nats) -> None:
    await make_stream(nats)
    async with client(nats) as admin, client(nats, "todos") as nc:
        await admin.jetstream().publish("ev.todos.0.Stray", b"{}")
        publisher = Publisher(nc, FEED)
        await publisher.open()
        with pytest.raises(RefusedError) as refusal:
            await publisher.publish([a_row(seq) for seq in range(1, 21)], whole=True)
        assert refusal.value.code == WRONG_LAST_SEQUENCE
        assert await last_seq(nats) == 1
        await publisher.publish([a_row(seq) for seq in range(2, 22)], whole=True)
        assert await last_seq(nats) == 21


async def test_a_batch_is_sent_while_the_one_before_it_is_stored(nats: Nats) -> None:
    await make_stream(nats)
    async with client(nats, "todos") as nc:
        publisher = Publisher(nc, FEED)
        await publisher.open()
        sent = [await publisher.send([a_row(seq) for seq in range(at, at + 20)], whole=True) for at in (1, 21)]
        await publisher.stored(sent[0])
        await publisher.stored(sent[1])
        assert await last_seq(nats) == 40


async def test_what_was_sent_behind_a_refused_batch_is_not_stored_and_holds_up_nothing(nats: Nats) -> None:
    await make_stream(nats)
    async with client(nats) as admin, client(nats, "todos") as nc:
        await admin.jetstream().publish("ev.todos.0.Stray", b"{}")
        publisher = Publisher(nc, FEED)
        await publisher.open()
        first, _ = [await publisher.send([a_row(seq) for seq in range(at, at + 20)], whole=True) for at in (1, 21)]
        with pytest.raises(RefusedError):
            await publisher.stored(first)
        await publisher.publish([a_row(seq) for seq in range(2, 21)], whole=True)
        await publisher.publish([a_row(seq) for seq in range(21, 41)], whole=True)
        assert await last_seq(nats) == 40


async def test_what_is_too_large_for_a_batch_goes_message_by_message(nats: Nats) -> None:
    await make_stream(nats)
    async with client(nats, "todos") as nc, client(nats) as admin:
        publisher = Publisher(nc, FEED)
        await publisher.open()
        await publisher.publish([a_row(seq) | {"data": "0" * 250_000} for seq in range(1, 41)], whole=True)
        assert await last_seq(nats) == 40
        stored = await admin.jetstream().get_msg("TODOS", 1)
    assert "Nats-Batch-Id" not in (stored.headers or {})
