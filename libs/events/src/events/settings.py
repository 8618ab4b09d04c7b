"""Settings from the environment into one frozen struct, read once; all bad ones are told together.

A field `smtp_port: int = 587` is read from `SMTP_PORT`. A field without a default is required. An empty variable counts
as absent.
"""

import os
from collections.abc import Mapping
from typing import TypeVar, get_args

import msgspec

from events.errors import BadSettings

T = TypeVar("T", bound=msgspec.Struct)


def read(kind: type[T], environment: Mapping[str, str] | None = None) -> T:
    """The settings of a service; raises `BadSettings` that lists every missing and malformed one."""
    source = os.environ if environment is None else environment
    values: dict[str, object] = {}
    wrong: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = field.name.upper()
        text = source.get(name, "")
        try:
            if text:
                values[field.name] = msgspec.convert(text, field.type, strict=False)
            elif field.required:
                wrong.append(f"{name} is required")
        except msgspec.ValidationError as error:
            wrong.append(f"{name}: {_reason(error, field.type)}")
    if not wrong:
        try:
            return kind(**values)
        except ValueError as error:
            wrong = str(error).split("; ")
    raise BadSettings("settings: " + "; ".join(wrong))


def urls_of(text: str, schemes: tuple[str, ...] = ("http", "https")) -> dict[str, str]:
    """URLs by their names, of a setting with `name=url` separated by commas; raises `ValueError`."""
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if not all(name and url.startswith(tuple(f"{scheme}://" for scheme in schemes)) for name, _, url in pairs):
        raise ValueError("must be a list of name=url, separated by commas")
    return {name: url for name, _, url in pairs}


def _reason(error: msgspec.ValidationError, kind: object) -> str:
    """What is wrong, never the value itself: it may be a secret."""
    text = str(error).split(" - at ")[0].split(", got")[0]
    if text.startswith("Invalid enum value"):  # msgspec goes on with the value
        return f"must be one of {', '.join(_choices(kind))}"
    return text


def _choices(kind: object) -> list[str]:
    """The values of a `Literal`, also of an optional one."""
    options = [option for option in get_args(kind) if option is not type(None)]
    return [choice for option in options for choice in (_choices(option) or [str(option)])]
