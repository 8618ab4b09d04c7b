"""Events (and inputs) that say only what changed: fields that did not are `msgspec.UNSET`."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

P = TypeVar("P", bound=msgspec.Struct)


def said(patch: msgspec.Struct) -> dict[str, Any]:
    """The fields that are there, by name, with their values."""
    fields = msgspec.structs.asdict(patch)
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def followed(earlier: P, later: P) -> P:
    """Both as one: the later word counts."""
    return msgspec.structs.replace(earlier, **said(later))


def columns(patches: Sequence[msgspec.Struct], *names: str) -> list[list[object]]:
    """For SQL, two arrays a field: whether each patch names it, and its value, null where it does not."""
    arrays: list[list[object]] = []
    for name in names:
        values = [getattr(patch, name) for patch in patches]
        arrays.append([value is not msgspec.UNSET for value in values])
        arrays.append([None if value is msgspec.UNSET else value for value in values])
    return arrays
