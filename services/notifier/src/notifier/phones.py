"""A person's phone over HTTP: theirs once they answer the code that was sent to it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import asyncpg
import phonenumbers
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from api.answers import Answer, Envelope, answer
from api.guard import signed_in
from api.messages import Message, Text
from api.problems import INVALID, NOT_FOUND, TOO_MANY_REQUESTS, FieldError, Kind, Problem
from api.requests import Request
from api.routes import delete, get, post
from api.transactions import writing
from events.clock import Clock
from events.ids import uuid7
from events.postgres import Connection
from notifier.sms import hash_of, is_code_of
from notifier.tables import SQL

LIFE: Final = timedelta(minutes=10)
_TAKES_SMS: Final = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})

SHOWN: Final = Message(key="phone.shown", en="Phone retrieved successfully", ko="휴대폰을 조회했습니다")
ASKED: Final = Message(key="phone.code_sent", en="Code sent successfully", ko="인증번호를 보냈습니다")
VERIFIED: Final = Message(key="phone.verified", en="Phone verified successfully", ko="휴대폰을 인증했습니다")
REMOVED: Final = Message(key="phone.removed", en="Phone removed successfully", ko="휴대폰을 삭제했습니다")
NOT_OFFERED: Final = Kind(
    status=409,
    code="phone.not_offered",
    title=Text("No SMS here", "SMS를 제공하지 않습니다"),
    detail=Text(
        "This installation sends no SMS; choose another way to be notified.",
        "이 서버는 SMS를 보내지 않습니다. 다른 알림 방법을 선택하세요.",
    ),
)
_NO_NUMBER: Final = Text(
    "must be a mobile number with its country, as +821012345678",
    "+821012345678처럼 국가 번호가 있는 휴대폰 번호여야 합니다",
)
_NOT_SERVED: Final = Text("is of a country that gets no SMS from here", "SMS를 보내지 않는 국가의 번호입니다")
_WRONG: Final = Text(
    "is wrong, used or over; after five guesses ask for a new one",
    "잘못되었거나 이미 사용했거나 만료되었습니다. 다섯 번 틀리면 새로 요청하세요",
)


class Number(Struct, frozen=True, forbid_unknown_fields=True):
    """A mobile number with its country; spaces, dots and dashes do not matter."""

    phone_number: Annotated[str, Meta(min_length=1, max_length=40, examples=["+82 10-1234-5678"])]


class Code(Struct, frozen=True, forbid_unknown_fields=True):
    """The code that came by SMS."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{6}(?!\n)$", examples=["042137"])]


class Asked(Struct, frozen=True):
    """Where a code is on its way to (E.164), and for how many seconds it is good."""

    phone_number: str
    expires_in: int


class Phone(Struct, frozen=True):
    """A person's phone (E.164); null while there is none."""

    phone_number: str | None = None
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Phones:
    """What the handlers work with; any of `keys` may be behind a code, none where no SMS is sent.

    `countries` (ISO 3166 regions) are those whose numbers get codes; all where there are none.
    """

    pool: asyncpg.Pool
    now: Clock
    keys: Sequence[bytes]
    countries: Collection[str]


Parts: TypeAlias = NamedDependency[Phones]


def number_of(text: str) -> str | None:
    """A mobile number in E.164; None for what is none, or may cost who sends to it more than an SMS."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or phonenumbers.number_type(number) not in _TAKES_SMS:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def country_of(number: str) -> str | None:
    """The region (ISO 3166) of a number in E.164; None where it belongs to none alone."""
    return phonenumbers.region_code_for_number(phonenumbers.parse(number))


@get("/notifications/phone", guards=[signed_in])
async def show_phone(request: Request, phones: Parts) -> Answer[Envelope[Phone]]:
    """Get your phone."""
    row = await phones.pool.fetchrow(SQL.phone, request.user.id)
    return answer(request, SHOWN, Phone(**row) if row else Phone())


@post("/notifications/phone", guards=[signed_in], status_code=200, keyed=False, problems=[NOT_OFFERED])
async def ask_for_code(request: Request, phones: Parts, data: JSONBody[Number]) -> Answer[Envelope[Asked]]:
    """Get a code sent to a phone: once a minute, five times a day. The phone that you have stays until you answer.

    A number gets no more than that either, whoever asks.
    """
    if not phones.keys:
        raise Problem(NOT_OFFERED)
    number = _served(phones, data.phone_number)
    async with writing(request, phones.pool) as connection:
        await _take_turn(connection, request.user.id, number)
        now = phones.now()  # before its turn it could be earlier than what it is compared with
        hashes = [hash_of(key, number) for key in phones.keys]
        wait = await connection.fetchval(SQL.code_wait, request.user.id, hashes, now)
        if wait is not None:
            raise Problem(TOO_MANY_REQUESTS, retry_after=ceil(wait))
        trace = request.trace
        row = (uuid7(), request.user.id, number, request.locale, now, now + LIFE)
        await connection.execute(SQL.ask_code, *row, trace.correlation_id, trace.traceparent, hashes[0])
    return answer(request, ASKED, Asked(number, int(LIFE.total_seconds())))


@post("/notifications/phone/verify", guards=[signed_in], status_code=200, keyed=False, problems=[NOT_OFFERED])
async def verify_phone(request: Request, phones: Parts, data: JSONBody[Code]) -> Answer[Envelope[Phone]]:
    """Answer the code; the phone is yours from now on, and nobody else's. Choose `sms` to be notified there."""
    if not phones.keys:
        raise Problem(NOT_OFFERED)
    now = phones.now()
    # Counted and committed before it is compared: guesses that come together count each.
    asked = await phones.pool.fetchrow(SQL.guess_code, request.user.id, now)
    if asked is None or not is_code_of(phones.keys, asked["id"], data.code):
        raise Problem(INVALID, errors=[FieldError("code", "wrong_code", _WRONG)])
    async with writing(request, phones.pool) as connection:
        if await connection.fetchval(SQL.use_code, asked["id"], now) is None:
            raise Problem(INVALID, errors=[FieldError("code", "wrong_code", _WRONG)])
        for query in (SQL.lock_phones, SQL.remove_other_phone):
            await connection.execute(query, request.user.id, asked["number"])
        row = (uuid7(), request.user.id, "sms", asked["number"], None, None, asked["locale"], now)
        await connection.execute(SQL.add_device, *row)
    return answer(request, VERIFIED, Phone(asked["number"], now))


@delete("/notifications/phone", guards=[signed_in], status_code=200, keyed=False, problems=[NOT_FOUND])
async def remove_phone(request: Request, phones: Parts) -> Answer[Envelope[None]]:
    """Remove your phone: nothing is sent to it any more."""
    if await phones.pool.fetchval(SQL.remove_phone, request.user.id) is None:
        raise Problem(NOT_FOUND)
    return answer(request, REMOVED, None)


def _served(phones: Phones, text: str) -> str:
    """A number that may get a code, in E.164; raises `INVALID` for another."""
    number = number_of(text)
    if number is None:
        raise Problem(INVALID, errors=[FieldError("phone_number", "not_a_mobile_number", _NO_NUMBER)])
    if phones.countries and country_of(number) not in phones.countries:
        raise Problem(INVALID, errors=[FieldError("phone_number", "country_not_served", _NOT_SERVED)])
    return number


async def _take_turn(connection: Connection, person_id: UUID, number: str) -> None:
    """One asks at a time, of a person and for a number."""
    for what in (f"code of {person_id}", f"code to {number}"):
        await connection.execute(SQL.lock_for_a_code, what)


ROUTES: Final = (show_phone, ask_for_code, verify_phone, remove_phone)
