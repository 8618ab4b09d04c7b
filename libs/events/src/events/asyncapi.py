"""The AsyncAPI 3.0 document of all events: what each service sends and receives, on which subject, in which shape.

Source: AsyncAPI specification 3.0.0. A channel is a subject with its slot left open; a message's headers are the
CloudEvents attributes of `events.envelope`, its payload is the event's data.
"""

from collections.abc import Iterable, Mapping
from inspect import getdoc
from typing import Any

import msgspec

from events.feed import Feed

Document = dict[str, Any]

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
    version: str,
) -> Document:
    """The document for `types` by wire name; `hears` maps each service to the names of the feeds it hears."""
    names = sorted(types)
    _, schemas = msgspec.json.schema_components([types[name] for name in names], ref_template=_ref("schemas", "{name}"))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "To-do events", "version": version, "description": "What happens, as the services say it."},
        "defaultContentType": "application/json",
        "channels": {_channel_of(name): _channel(name, names) for name in names},
        "operations": _operations(names, feeds, hears),
        "components": {
            "messages": {name: _message(name, types[name]) for name in names},
            "schemas": {"Envelope": ENVELOPE, **dict(sorted(schemas.items()))},
        },
    }


def _channel(name: str, names: Iterable[str]) -> Document:
    service, event, _ = name.split(".")
    versions = [other for other in names if _channel_of(other) == _channel_of(name)]
    return {
        "address": f"ev.{service}.{{slot}}.{event}",
        "parameters": {"slot": {"description": "crc32 of ce-subject mod 64", "examples": ["0", "63"]}},
        "messages": {other: {"$ref": _ref("messages", other)} for other in versions},
    }


def _operations(names: Iterable[str], feeds: Iterable[Feed], hears: Mapping[str, tuple[str, ...]]) -> Document:
    """One operation for each channel and each service at an end of it."""
    feed_of = {name: _feed_of(name, feeds) for name in names}
    send = {(name.split(".", maxsplit=1)[0], "send", _channel_of(name)): name for name in names}
    receive = {
        (service, "receive", _channel_of(name)): name
        for service, heard in hears.items()
        for name in names
        if feed_of[name].name in heard
    }
    return {
        f"{service}.{action}.{channel}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "tags": [{"name": service}, {"name": f"feed:{feed_of[name].name}"}],
        }
        for (service, action, channel), name in sorted({**send, **receive}.items())
    }


def _feed_of(name: str, feeds: Iterable[Feed]) -> Feed:
    service, event, _ = name.split(".")
    own = (f"ev.{service}.>", f"ev.{service}.*.{event}")
    return next(feed for feed in feeds if any(subject in own for subject in feed.subjects))


def _message(name: str, struct: type[msgspec.Struct]) -> Document:
    service = name.split(".", maxsplit=1)[0]
    headers = {"ce-type": {"const": name}, "ce-source": {"const": f"/{service}"}}
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
