"""Events (and inputs) that say only what changed: fields that did not are `msgspec.UNSET`."""

from typing import Any

import msgspec


def said(patch: msgspec.Struct) -> dict[str, Any]:
    """The fields that are there, by name, with their values."""
    fields = msgspec.structs.asdict(patch)
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}
