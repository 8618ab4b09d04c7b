"""Data of events to JSON and back, by the name that travels in `ce-type`."""

from collections.abc import Mapping

import msgspec

from events.errors import Undecodable

Types = Mapping[str, type[msgspec.Struct]]
"""Wire names (`todos.TodoCreated.v1`) and the structs that they stand for."""


class Codec:
    """Knows a set of event types by their wire names."""

    def __init__(self, types: Types) -> None:
        self._names = {struct: name for name, struct in types.items()}
        self._decoders = {name: msgspec.json.Decoder(struct) for name, struct in types.items()}
        self._encoder = msgspec.json.Encoder()

    def name_of(self, data: msgspec.Struct) -> str:
        """The wire name of an event; raises `KeyError` for a struct outside the catalogue."""
        return self.name_of_type(type(data))

    def name_of_type(self, struct: type[msgspec.Struct]) -> str:
        """The wire name of an event type; raises `KeyError` for a struct outside the catalogue."""
        return self._names[struct]

    def encode(self, data: msgspec.Struct) -> str:
        """The event's data as JSON text, encoded once: stored and published as it is."""
        return self._encoder.encode(data).decode()

    def decode(self, name: str, raw: bytes | str) -> msgspec.Struct | None:
        """The event, or None for a type not known here; raises `Undecodable` for a known one that does not fit."""
        decoder = self._decoders.get(name)
        if decoder is None:
            return None
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable(f"{name} does not decode: {_fault(error)}") from error


def _fault(error: Exception) -> str:
    """What is wrong and where, never the value itself."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text, at, path = str(error).partition(" - at ")
    return f"{'Invalid enum value' if text.startswith('Invalid enum value') else text}{at}{path}"
