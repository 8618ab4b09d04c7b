"""The catalogue: what was ever published decodes for ever, and every feed has its types."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from events.catalog.feeds import CORE, FEEDS, HEARS, guests_of
from events.catalog.types import TYPES
from events.codec import Codec
from events.contracts import schema_of
from events.errors import Undecodable

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*/*.json"))
CODEC = Codec(TYPES)


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("file", FILES, ids=named)
def test_a_golden_event_decodes_and_encodes_to_what_it_was(file: Path) -> None:
    """A golden file is never changed: a field added later may join, none may leave or change."""
    golden = json.loads(file.read_bytes())
    event = CODEC.decode(file.parent.name, file.read_bytes())
    assert isinstance(event, TYPES[file.parent.name])
    again = CODEC.encode(event)
    assert CODEC.decode(file.parent.name, again) == event
    assert json.loads(again).items() >= golden.items()


@pytest.mark.parametrize("file", FILES, ids=named)
def test_a_golden_event_fits_its_json_schema(file: Path) -> None:
    schema = schema_of(file.parent.name, TYPES[file.parent.name])
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    checker.validate(json.loads(file.read_bytes()))


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_type_has_a_minimal_and_a_full_golden_event(name: str) -> None:
    """Full: some golden event names each field with a value. A new field asks for a new file beside the old ones."""
    files = {path.stem: json.loads(path.read_bytes()) for path in (GOLDEN / name).glob("*.json")}
    assert {"minimal", "full"} <= files.keys()
    told = {field for data in files.values() for field, value in data.items() if value is not None}
    assert told == {field.encode_name for field in msgspec.structs.fields(TYPES[name])}


def test_no_golden_event_is_of_a_type_that_left_the_catalogue() -> None:
    assert {path.parent.name for path in FILES} == set(TYPES)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_wire_name_is_its_service_its_struct_and_a_version(name: str) -> None:
    service, event, version = name.split(".")
    assert TYPES[name].__module__ == f"events.catalog.{service}"
    assert event == TYPES[name].__name__
    assert version == "v1"


@pytest.mark.parametrize("name", sorted(TYPES.keys() - CORE.keys()))
def test_every_type_belongs_to_exactly_one_feed_of_its_service(name: str) -> None:
    service, event, _ = name.split(".")
    holding = [
        feed.name
        for feed in FEEDS.values()
        if any(subject in {f"ev.{service}.>", f"ev.{service}.*.{event}"} for subject in feed.subjects)
    ]
    assert len(holding) == 1
    assert FEEDS[holding[0]].service == service


def test_whoever_tells_what_it_heard_is_heard_by_nobody_who_tells_it_that() -> None:
    """Or two would tell each other for ever what they heard."""
    tells = {FEEDS[feed].service: feed for feed in CORE["core.EventsHeard.v1"]}
    told = {service: {teller for teller, feed in tells.items() if feed in HEARS[service]} for service in tells}
    for service in tells:
        seen = told[service]
        while more := {further for teller in seen for further in told[teller]} - seen:
            seen |= more
        assert service not in seen


def test_nobody_hears_a_feed_that_does_not_exist() -> None:
    assert {feed for heard in HEARS.values() for feed in heard} <= FEEDS.keys()


def test_guests_are_services_from_elsewhere_with_the_feeds_that_they_hear() -> None:
    assert guests_of("tally=TODOS, mirror=AUTH+TODOS") == {"tally": ("TODOS",), "mirror": ("AUTH", "TODOS")}
    assert guests_of("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tally", "no feed is called ''"),
        ("tally=NEWS", "no feed is called 'NEWS'; there are OTP"),
        ("tally=TODOS,tally=AUTH", "distinct names"),
        ("Tally=TODOS", "small letters"),
        ("tally_owner=TODOS", "small letters"),
        ("todos=TODOS", "todos: a name that is taken"),
        ("admin=TODOS", "admin: a name that is taken"),
    ],
)
def test_a_guest_that_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        guests_of(text)


def test_a_moment_without_an_offset_is_refused() -> None:
    data: dict[str, Any] = json.loads((GOLDEN / "todos.TodoCreated.v1" / "full.json").read_bytes())
    data["due_at"] = datetime(2026, 11, 24, 18).isoformat()  # noqa: DTZ001 - the very thing under test
    with pytest.raises(Undecodable, match="due_at"):
        CODEC.decode("todos.TodoCreated.v1", json.dumps(data))
