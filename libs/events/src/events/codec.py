"""Data of events to JSON and back, by the name that travels in `ce-type`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from events.errors import Undecodable

Types = Mapping[str, type[msgspec.Struct]]
"""Wire names (`todos.TodoCreated.v1`) and the structs that they stand for."""


class Upcast(msgspec.Struct, frozen=True):
    """How what an old type says is said in `to`, the type that came after it: `lift` makes one of the other."""

    to: type[msgspec.Struct]
    lift: Callable[[Any], msgspec.Struct]


Upcasts = Mapping[type[msgspec.Struct], Upcast]
"""Old types and how each becomes the next one, which may be old itself."""
_NONE: Final[Upcasts] = {}


class Codec:
    """Knows a set of event types by their wire names, and old ones as what came after them.

    Handlers see the newest type alone: an event is never rewritten in a log; it is lifted whenever it is read, what is
    parked too.
    """

    def __init__(self, types: Types, upcasts: Upcasts = _NONE) -> None:
        self._upcasts = upcasts
        self._names = {struct: name for name, struct in types.items()}
        self._decoders = {name: msgspec.json.Decoder(struct) for name, struct in types.items()}
        self._encoder = msgspec.json.Encoder()

    def name_of(self, data: msgspec.Struct) -> str:
        """The wire name of an event; raises `KeyError` for a struct outside the catalogue."""
        return self.name_of_type(type(data))

    def name_of_type(self, struct: type[msgspec.Struct]) -> str:
        """The wire name of an event type; raises `KeyError` for a struct outside the catalogue."""
        return self._names[struct]

    def heard_as(self, struct: type[msgspec.Struct]) -> frozenset[str]:
        """The wire names under which an event of a type may come: its own, and those that are lifted to it."""
        older = (old for old, upcast in self._upcasts.items() if upcast.to is struct)
        return frozenset({self._names[struct]}).union(*(self.heard_as(old) for old in older))

    def encode(self, data: msgspec.Struct) -> str:
        """The event's data as JSON text, encoded once: stored and published as it is."""
        return self._encoder.encode(data).decode()

    def decode(self, name: str, raw: bytes | str) -> msgspec.Struct | None:
        """The event as the newest type says it, or None for a type not known here.

        Raises `Undecodable` for a known one that does not fit.
        """
        decoder = self._decoders.get(name)
        if decoder is None:
            return None
        try:
            data: msgspec.Struct = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable(f"{name} does not decode: {_fault(error)}") from error
        while upcast := self._upcasts.get(type(data)):
            data = upcast.lift(data)
        return data


def _fault(error: Exception) -> str:
    """What is wrong and where, never the value itself."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text, at, path = str(error).partition(" - at ")
    return f"{'Invalid enum value' if text.startswith('Invalid enum value') else text}{at}{path}"
