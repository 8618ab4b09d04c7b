"""The published contracts: committed as generated, compatible with the last release, readable by the official SDK."""

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from feeding import CODEC, FEED, PERSON, client, create, last_seq, make_stream, running

from events.broker import Broker
from events.catalog.feeds import FEEDS, HEARS
from events.catalog.todos import TodoCreated
from events.catalog.types import TYPES
from events.contracts import breaks, check, generated, main, release, schema_of, write
from events.log import Log
from events.postgres import dialer
from events.relay import Relay
from local.fixtures import Database, until
from local.nats import Nats

CONTRACTS = Path(__file__).parents[3] / "docs" / "contracts"
CREATED = "todos.TodoCreated.v1"
OLD = {name: schema_of(name, struct) for name, struct in TYPES.items()}


def changed(**fields: Any) -> dict[str, Any]:
    """The schemas with fields of TodoCreated replaced, or dropped where None."""
    schemas: dict[str, Any] = copy.deepcopy(OLD)
    properties = schemas[CREATED]["properties"]
    for name, shape in fields.items():
        properties.pop(name, None)
        if shape is not None:
            properties[name] = shape
    return schemas


def test_the_committed_contracts_are_the_generated_ones_and_compatible() -> None:
    assert check(CONTRACTS) == []


def test_nothing_breaks_where_nothing_changed() -> None:
    assert list(breaks(OLD, OLD)) == []


def test_a_new_optional_field_and_a_new_type_break_nothing() -> None:
    new = changed(colour={"type": "string"})
    new["todos.TodoPainted.v1"] = {"type": "object", "properties": {}}
    assert list(breaks(OLD, new)) == []


def test_a_better_explanation_breaks_nothing() -> None:
    assert list(breaks(OLD, changed(priority={"type": "integer", "description": "1 is the highest"}))) == []


def test_a_removed_type_breaks() -> None:
    assert any(CREATED in what for what in breaks(OLD, {}))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": None}, "title"),
        ({"title": None, "name": {"type": "string"}}, "title"),
        ({"priority": {"type": "string"}}, "priority"),
        ({"due_at": {"type": "string", "format": "date-time"}}, "due_at"),
    ],
    ids=["removed", "renamed", "retyped", "no longer nullable"],
)
def test_a_field_that_left_or_changed_breaks_and_is_named(fields: dict[str, Any], named: str) -> None:
    assert any(f"{CREATED}: field {named} " in what for what in breaks(OLD, changed(**fields)))


def test_a_new_required_field_breaks_and_is_named() -> None:
    new = changed(colour={"type": "string"})
    new[CREATED]["required"].append("colour")
    [what] = breaks(OLD, new)
    assert "colour" in what


def test_a_field_that_may_now_be_missing_breaks_and_is_named() -> None:
    new = changed()
    new[CREATED]["required"].remove("title")
    [what] = breaks(OLD, new)
    assert "title" in what


def test_a_change_deep_inside_breaks_and_is_named() -> None:
    class Place(msgspec.Struct):
        street: str

    class Road(msgspec.Struct, rename={"street": "road"}):
        street: str

    def moved(part: type[msgspec.Struct]) -> Any:
        event = msgspec.defstruct("Moved", [("place", part)])
        schema = json.loads(json.dumps(schema_of("bus.Moved.v1", event)).replace("Road", "Place"))
        return {"bus.Moved.v1": schema}

    assert any("field street" in what for what in breaks(moved(Place), moved(Road)))


def test_writing_mends_what_is_missing_changed_or_surplus(tmp_path: Path) -> None:
    write(tmp_path)
    assert check(tmp_path) == []
    (tmp_path / "schemas" / f"{CREATED}.json").unlink()
    (tmp_path / "schemas" / "todos.Gone.v1.json").write_text("{}")
    (tmp_path / "asyncapi.json").write_text("{}")
    assert [what.split(" ")[0] for what in check(tmp_path)] == [
        "asyncapi.json",
        "schemas/todos.Gone.v1.json",
        f"schemas/{CREATED}.json",
    ]
    main(["write", str(tmp_path)])
    main(["check", str(tmp_path)])


def test_a_release_binds_what_comes_after_it(tmp_path: Path) -> None:
    write(tmp_path)
    release(tmp_path)
    released = tmp_path / "released" / f"{CREATED}.json"
    released.write_text(released.read_text().replace('"title": {', '"headline": {'))
    with pytest.raises(SystemExit, match="field headline was removed"):
        main(["check", str(tmp_path)])
    with pytest.raises(SystemExit, match="field headline was removed"):
        main(["release", str(tmp_path)])


def test_a_wrong_command_line_gets_a_usage_line() -> None:
    with pytest.raises(SystemExit, match="usage"):
        main(["publish"])


def test_the_document_says_who_sends_and_who_receives_each_event() -> None:
    operations = json.loads(generated()["asyncapi.json"])["operations"]
    ends: dict[str, list[tuple[str, str]]] = {name.split(".", 2)[2]: [] for name in operations}
    for name in operations:
        service, action, channel = name.split(".", 2)
        ends[channel].append((service, action))
    assert ends.keys() == {name.rsplit(".", 1)[0] for name in TYPES}
    hearers = {service for service, feeds in HEARS.items() if FEED.name in feeds}
    assert set(ends["todos.TodoCreated"]) == {("todos", "send"), *((hearer, "receive") for hearer in hearers)}


async def test_the_official_sdk_reads_a_published_message(todos: Database, nats: Nats) -> None:
    """The SDK has no NATS binding; NATS binary mode has the headers of HTTP binary mode (same prefix, same values)."""
    await make_stream(nats)
    broker = Broker(nats.url("todos"), name="todos")
    dial = dialer(todos.url, application="test")
    relay = Relay(FEEDS["TODOS"], dial, broker)
    log = Log("TODOS", dial, on_appended=relay.wake)
    command = create(title="우유 사기 🥛")
    async with running(broker.run, relay.run, log.run), client(nats) as nc:
        await log.append(command)
        await until(partial(last_seq, nats))
        message = await nc.jetstream(timeout=5).get_msg("TODOS", 1)
    event = from_http_event(HTTPMessage(headers=dict(message.headers or {}), body=message.data or b""))
    attributes = event.get_attributes()
    sent = command.events[0]
    assert attributes["id"] == str(sent.id)
    assert attributes["specversion"] == "1.0"
    assert attributes["type"] == CREATED
    assert attributes["source"] == "/todos"
    assert attributes["subject"] == str(PERSON)
    assert attributes["time"] == command.context.time
    assert attributes["datacontenttype"] == "application/json"
    assert (attributes["seq"], attributes["version"]) == ("1", "1")
    assert msgspec.convert(event.get_data(), TodoCreated, strict=False) == CODEC.decode(CREATED, sent.data)
