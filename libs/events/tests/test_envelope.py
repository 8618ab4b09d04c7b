"""The envelope: every attribute a header and back, a slot that never changes, misfits told apart."""

import string
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.asyncapi import ENVELOPE
from events.envelope import SLOTS, Envelope, format_time, from_headers, slot_of, subject_of, to_headers
from events.errors import Undecodable

TODO = UUID("018f2c5e-7b1a-7c3d-8e4f-000000000004")
PERSON = UUID("018f2c5e-7b1a-7c3d-8e4f-000000000002")
EXAMPLE = Envelope(
    id=UUID("018f2c5e-7b1a-7c3d-8e4f-000000000001"),
    type="todos.TodoCreated.v1",
    source="/todos",
    subject=PERSON,
    time=datetime(2026, 11, 23, 9, 30, 0, 123456, tzinfo=UTC),
    seq=7,
    aggregate=TODO,
    version=1,
    correlation_id="request-1",
    causation_id="request-1",
    actor=str(PERSON),
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)

texts = st.text(string.ascii_letters + string.digits + "-_.:", min_size=1, max_size=40)
SEOUL = timezone(timedelta(hours=9))
# Year 1 in Seoul began in the year 0 of UTC, which no datetime holds.
moments = st.datetimes(timezones=st.sampled_from([UTC, SEOUL])).filter(lambda moment: moment.year > 1)
envelopes = st.builds(
    Envelope,
    id=st.uuids(),
    type=st.just("todos.TodoCreated.v1"),
    source=st.just("/todos"),
    subject=st.uuids(),
    time=moments,
    seq=st.integers(1, 2**53),
    aggregate=st.uuids(),
    version=st.integers(1, 2**31),
    correlation_id=texts,
    causation_id=texts,
    actor=texts,
    traceparent=texts | st.just(""),
)


@given(envelopes)
def test_an_envelope_comes_back_from_its_headers(envelope: Envelope) -> None:
    assert from_headers(to_headers(envelope)) == envelope


def test_headers_are_those_of_the_published_contract() -> None:
    headers = to_headers(EXAMPLE)
    assert headers.keys() == ENVELOPE["properties"].keys()
    jsonschema.validate(headers, ENVELOPE, format_checker=jsonschema.FormatChecker())


def test_no_header_is_empty() -> None:
    """CloudEvents leaves an attribute without a value out."""
    bare = msgspec.structs.replace(EXAMPLE, correlation_id="", causation_id="", actor="", traceparent="")
    assert all(to_headers(bare).values())
    assert from_headers(to_headers(bare)) == bare


def test_time_is_told_in_utc_with_microseconds_and_a_z() -> None:
    seoul = datetime(2026, 11, 23, 18, 30, tzinfo=SEOUL)
    assert format_time(seoul) == "2026-11-23T09:30:00.000000Z"


def test_the_subject_names_service_slot_and_type() -> None:
    assert subject_of(EXAMPLE) == f"ev.todos.{slot_of(PERSON)}.TodoCreated"


@pytest.mark.parametrize(
    ("person", "slot"),
    [
        ("00000000-0000-0000-0000-000000000000", 9),
        ("018f2c5e-7b1a-7c3d-8e4f-000000000002", 54),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", 15),
    ],
)
def test_the_slot_of_a_person_is_fixed_for_ever(person: str, slot: int) -> None:
    assert slot_of(UUID(person)) == slot


@given(st.uuids())
def test_a_slot_is_one_of_sixty_four(person: UUID) -> None:
    assert 0 <= slot_of(person) < SLOTS


@pytest.mark.parametrize("name", ["ce-id", "ce-type", "ce-source", "ce-subject", "ce-time", "ce-seq", "ce-aggregate"])
def test_a_missing_attribute_is_named(name: str) -> None:
    headers = to_headers(EXAMPLE)
    del headers[name]
    with pytest.raises(Undecodable, match=name):
        from_headers(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ce-id", "7"), ("ce-subject", "somebody"), ("ce-time", "today"), ("ce-seq", "first"), ("ce-version", "")],
)
def test_a_malformed_attribute_is_undecodable(name: str, value: str) -> None:
    with pytest.raises(Undecodable):
        from_headers({**to_headers(EXAMPLE), name: value})


def test_a_time_without_an_offset_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        from_headers({**to_headers(EXAMPLE), "ce-time": "2026-11-23T09:30:00"})


@pytest.mark.parametrize("headers", [None, {}])
def test_a_message_without_headers_is_no_event(headers: dict[str, str] | None) -> None:
    with pytest.raises(Undecodable, match="without headers"):
        from_headers(headers)
