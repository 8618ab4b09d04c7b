"""The AsyncAPI 3.0 document of all events: what each service sends and receives, on which subject, in which shape.

Source: AsyncAPI specification 3.0.0. A channel is a subject with its slot left open; a message's headers are the
CloudEvents attributes of `events.envelope`, its payload is the event's data.
"""

from collections.abc import Iterable, Mapping, Sequence
from inspect import getdoc
from typing import Any

import msgspec

from events.feed import Feed

Document = dict[str, Any]

_CORE = "core"
_UUID = {"type": "string", "format": "uuid"}
_COUNT = {"type": "string", "pattern": "^[1-9][0-9]*$"}
_TEXT = {"type": "string"}
_REQUIRED = ("specversion", "id", "type", "source", "subject", "time", "seq", "aggregate", "version")

ENVELOPE: Document = {
    "type": "object",
    "description": "CloudEvents 1.0, NATS protocol binding, binary mode: every attribute is a header.",
    "properties": {
        "ce-specversion": {"const": "1.0"},
        "ce-id": {**_UUID, "description": "The event's UUIDv7; the same however often it is delivered."},
        "ce-type": _TEXT,
        "ce-source": _TEXT,
        "ce-subject": {**_UUID, "description": "The person: the key of ordering and of erasure."},
        "ce-time": {"type": "string", "format": "date-time", "description": "When it happened, in UTC."},
        "ce-seq": {**_COUNT, "description": "Its number in the feed: gapless, equal to the stream's sequence."},
        "ce-aggregate": {**_UUID, "description": "What it happened to."},
        "ce-version": {**_COUNT, "description": "Its number in the aggregate, from 1."},
        "ce-correlationid": {**_TEXT, "description": "The request that all of this began with."},
        "ce-causationid": {**_TEXT, "description": "The event or request that led to it directly."},
        "ce-actor": {**_TEXT, "description": "Who did it: a user id, `anonymous` or `system`."},
        "content-type": {"const": "application/json"},
        "traceparent": {**_TEXT, "description": "W3C Trace Context."},
    },
    "required": [*(f"ce-{name}" for name in _REQUIRED), "content-type"],
}


def document(
    types: Mapping[str, type[msgspec.Struct]],
    feeds: Iterable[Feed],
    hears: Mapping[str, tuple[str, ...]],
    *,
    core: Mapping[str, tuple[str, ...]],
    version: str,
) -> Document:
    """The document for `types` by wire name; `hears` maps each service to the names of the feeds it hears.

    `core` maps each type that is no single service's to the names of the feeds that carry it.
    """
    names = sorted(types)
    _, schemas = msgspec.json.schema_components([types[name] for name in names], ref_template=_ref("schemas", "{name}"))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "To-do events", "version": version, "description": "What happens, as the services say it."},
        "defaultContentType": "application/json",
        "channels": {_channel_of(name): _channel(name, names) for name in names},
        "operations": _operations({name: _carried_by(name, feeds, core) for name in names}, hears),
        "components": {
            "messages": {name: _message(name, types[name]) for name in names},
            "schemas": {"Envelope": ENVELOPE, **dict(sorted(schemas.items()))},
        },
    }


def _channel(name: str, names: Iterable[str]) -> Document:
    service, event, _ = name.split(".")
    versions = [other for other in names if _channel_of(other) == _channel_of(name)]
    slot = {"slot": {"description": "crc32 of ce-subject mod 64", "examples": ["0", "63"]}}
    said_by = {"service": {"description": "The service that says it"}} if service == _CORE else {}
    return {
        "address": f"ev.{'{service}' if said_by else service}.{{slot}}.{event}",
        "parameters": {**said_by, **slot},
        "messages": {other: {"$ref": _ref("messages", other)} for other in versions},
    }


def _operations(carried: Mapping[str, Sequence[Feed]], hears: Mapping[str, tuple[str, ...]]) -> Document:
    """One operation for each channel and each service at an end of it; `carried`: by which feeds, by type."""
    send = {(feed.service, "send", _channel_of(name)): name for name, feeds in carried.items() for feed in feeds}
    receive = {
        (service, "receive", _channel_of(name)): name
        for service, heard in hears.items()
        for name, feeds in carried.items()
        if any(feed.name in heard for feed in feeds)
    }
    return {
        f"{service}.{action}.{channel}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "tags": [{"name": service}, *({"name": f"feed:{feed.name}"} for feed in carried[name])],
        }
        for (service, action, channel), name in sorted({**send, **receive}.items())
    }


def _carried_by(name: str, feeds: Iterable[Feed], core: Mapping[str, tuple[str, ...]]) -> Sequence[Feed]:
    service, event, _ = name.split(".")
    own = (f"ev.{service}.>", f"ev.{service}.*.{event}")
    return [each for each in feeds if each.name in core.get(name, ()) or not {*own}.isdisjoint(each.subjects)]


def _message(name: str, struct: type[msgspec.Struct]) -> Document:
    service = name.split(".", maxsplit=1)[0]
    source = {"ce-source": {"const": f"/{service}"}} if service != _CORE else {}
    headers = {"ce-type": {"const": name}, **source}
    return {
        "name": name,
        "title": struct.__name__,
        "summary": getdoc(struct) or "",
        "contentType": "application/json",
        "headers": {"type": "object", "allOf": [{"$ref": _ref("schemas", "Envelope")}], "properties": headers},
        "payload": {"$ref": _ref("schemas", struct.__name__)},
    }


def _channel_of(name: str) -> str:
    return name.rsplit(".", 1)[0]


def _ref(kind: str, name: str) -> str:
    return f"#/components/{kind}/{name}"
