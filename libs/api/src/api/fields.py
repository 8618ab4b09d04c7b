"""Input into structs: every invalid field is named, not only the first.

The typed decoder is the fast path. Only when it refuses is the input decoded again, untyped, and each field tried.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from api.messages import Text
from api.problems import INVALID, MALFORMED, FieldError, Problem

NUL: Final = "\0"

_RULES: Final[tuple[tuple[re.Pattern[str], str, Text], ...]] = tuple(
    (re.compile(pattern), code, Text(en, ko))
    for pattern, code, en, ko in (
        (r"missing required field", "required", "is required", "필수 항목입니다"),
        (r"unknown field", "unknown", "is not known here", "알 수 없는 항목입니다"),
        (r"of length >= 1$|matching regex '\\\\S'$", "empty", "must not be empty", "비워 둘 수 없습니다"),
        (r"of length >= (?P<n>\d+)", "too_short", "must have at least {n}", "최소 {n}자(개) 이상이어야 합니다"),
        (r"of length <= (?P<n>\d+)", "too_long", "must have at most {n}", "최대 {n}자(개)까지 가능합니다"),
        (r">=? (?P<n>-?[\d.]+)$", "too_small", "must be at least {n}", "{n} 이상이어야 합니다"),
        (r"<=? (?P<n>-?[\d.]+)$", "too_large", "must be at most {n}", "{n} 이하여야 합니다"),
        (r"out of range", "out_of_range", "is out of range", "허용 범위를 벗어났습니다"),
        (r"Invalid UUID", "not_a_uuid", "must be a UUID", "UUID여야 합니다"),
        (r"timezone", "no_timezone", "must carry a time zone", "시간대가 있어야 합니다"),
        (r"RFC3339|ISO8601", "not_a_time", "must be a time as in RFC 3339", "RFC 3339 형식의 시각이어야 합니다"),
        (r"Invalid enum value", "not_a_choice", "is not one of the choices", "선택할 수 없는 값입니다"),
        (r"Expected `(?P<wanted>[^`]+)`, got", "wrong_type", "must be {wanted}", "{wanted} 형식이어야 합니다"),
    )
)
# As JSON calls it, and a client knows it.
_JSON_NAMES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FORMAT: Final = Text("has the wrong format", "형식이 올바르지 않습니다")
_NUL: Final = Text("must not contain U+0000", "U+0000 문자를 포함할 수 없습니다")
_TOO_DEEP: Final = Text("the JSON is nested too deeply", "JSON의 중첩이 너무 깊습니다")
_NOT_UTF8: Final = Text("it is not UTF-8", "UTF-8이 아닙니다")
_NOT_JSON: Final = Text("it is not valid JSON", "올바른 JSON이 아닙니다")
_PATH: Final = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_MISSING: Final = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`")


def decode(body: bytes, wanted: Any) -> Any:
    """JSON as the wanted type; raises `Problem`: MALFORMED for what is no JSON, INVALID with every bad field."""
    try:
        value = _decoder(wanted).decode(body)
    except msgspec.ValidationError as error:
        raise Problem(INVALID, errors=_all_errors(_untyped(body), wanted, error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(MALFORMED, what=_reason(error)) from None
    if b"\\u0000" in body and (errors := _nul_errors(_untyped(body))):
        raise Problem(INVALID, errors=errors)
    return value


def field_error(path: str, reason: str) -> FieldError:
    """One of msgspec's refusals as an error of a field; `path` is where the refused value stood."""
    found = _PATH.search(reason)
    reason = reason[: found.start()] if found else reason
    missing = _MISSING.search(reason)
    parts = (path, found["path"] if found else "", missing["name"] if missing else "")
    field = re.sub(r"\.{2,}", ".", re.sub(r"\[(\d+|\.\.\.)\]", r".\1", ".".join(filter(None, parts)))).strip(".")
    for pattern, code, text in _RULES:
        if match := pattern.search(reason):
            words = {name: re.sub(r"\w+", _in_json, value) for name, value in match.groupdict().items()}
            return FieldError(field or "body", code, text, words)
    return FieldError(field or "body", "format", _FORMAT)


def _in_json(word: re.Match[str]) -> str:
    return _JSON_NAMES.get(word[0], word[0])


def nul_error(field: str) -> FieldError:
    """U+0000 in a field: PostgreSQL cannot keep it."""
    return FieldError(field, "nul", _NUL)


@lru_cache(256)
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)


def _untyped(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(MALFORMED, what=_reason(error)) from None


def _reason(error: Exception) -> Text:
    if isinstance(error, RecursionError):
        return _TOO_DEEP
    return _NOT_UTF8 if isinstance(error, UnicodeDecodeError) else _NOT_JSON


def _all_errors(value: Any, wanted: Any, first: msgspec.ValidationError) -> list[FieldError]:
    """Each field's own error; the first refusal where no single field is to blame."""
    errors = list(_field_errors(value, wanted)) if isinstance(value, dict) else []
    return errors or [field_error("", str(first))]


def _field_errors(value: Mapping[str, Any], wanted: Any) -> Iterator[FieldError]:
    if not (isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)):
        return
    for field in msgspec.structs.fields(wanted):
        if field.encode_name not in value:
            if field.required:
                yield field_error(field.encode_name, "missing required field")
            continue
        try:
            msgspec.convert(value[field.encode_name], field.type)
        except msgspec.ValidationError as error:
            yield field_error(field.encode_name, str(error))


def _nul_errors(value: Any) -> list[FieldError]:
    """Every string with U+0000 in decoded JSON; a key counts as its object. Walks a list: depth is the client's."""
    errors, waiting = [], [("", value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str) and NUL in value:
            errors.append(nul_error(path or "body"))
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, inner in pairs:
            if NUL in str(name):
                errors.append(nul_error(path or "body"))
            waiting.append((f"{path}.{name}".lstrip("."), inner))
    return errors
