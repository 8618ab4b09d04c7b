"""A person's devices over HTTP: where they are pushed to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

import asyncpg
import httpx
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct, convert

from api.answers import Answer, Envelope, answer
from api.guard import signed_in
from api.messages import Locale, Message, Text
from api.problems import INVALID, NOT_FOUND, FieldError, Problem
from api.requests import Request
from api.routes import delete, get, post
from api.transactions import writing
from events.clock import Clock
from events.ids import uuid7
from notifier.tables import SQL

LISTED: Final = Message(key="device.listed", en="Devices retrieved successfully", ko="기기를 조회했습니다")
ADDED: Final = Message(key="device.added", en="Device registered successfully", ko="기기를 등록했습니다")
REMOVED: Final = Message(key="device.removed", en="Device removed successfully", ko="기기를 삭제했습니다")
KEY: Final = Message(key="device.key", en="Key retrieved successfully", ko="키를 조회했습니다")
_NO_SERVICE: Final = Text("is no push service that we know", "지원하지 않는 푸시 서비스입니다")

Base64: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+=*(?!\n)$", min_length=16, max_length=128)]


class FcmDevice(Struct, frozen=True, tag_field="service", tag="fcm", forbid_unknown_fields=True):
    """An app's registration token with Firebase Cloud Messaging."""

    token: Annotated[str, Meta(min_length=1, max_length=2048, pattern=r"^[!-~]+(?!\n)$", examples=["cX9:APA91bH"])]


class Keys(Struct, frozen=True):
    """A subscription's keys, as `PushSubscription.toJSON()` has them."""

    p256dh: Annotated[
        Base64,
        Meta(examples=["BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"]),
    ]
    auth: Annotated[Base64, Meta(examples=["BTBZMqHH6r4Tts7J_aSIgg"])]


class WebDevice(Struct, frozen=True, tag_field="service", tag="web", forbid_unknown_fields=True):
    """A browser's Web Push subscription."""

    endpoint: Annotated[
        str, Meta(max_length=2048, pattern=r"^[!-~]+(?!\n)$", examples=["https://fcm.googleapis.com/fcm/send/x"])
    ]
    keys: Keys


class Device(Struct, frozen=True):
    """Where a person is pushed to, in the language that the device spoke when it was registered."""

    id: UUID
    service: Literal["fcm", "web"]
    locale: Locale
    created_at: datetime


class PushKey(Struct, frozen=True):
    """What a browser subscribes with (`applicationServerKey`); null where Web Push is not configured."""

    public_key: str | None


@dataclass(frozen=True, slots=True)
class Devices:
    """What the handlers work with; `services` are the origins of the push services that may be called."""

    pool: asyncpg.Pool
    now: Clock
    services: tuple[str, ...]
    public_key: str | None


Parts: TypeAlias = NamedDependency[Devices]


def is_service(endpoint: str, services: tuple[str, ...]) -> bool:
    """Whether an endpoint is at one of these origins (`https://*.push.example`): nobody else is called for anybody."""
    try:
        url = httpx.URL(endpoint)  # what calls it reads it the same way
        place = "" if url.userinfo else url.netloc.decode()
    except (httpx.InvalidURL, ValueError):
        return False
    for service in services:
        scheme, _, host = service.partition("://")
        if url.scheme == scheme and (place.endswith(host[1:]) if host.startswith("*.") else place == host):
            return True
    return False


@post("/notifications/devices", guards=[signed_in], keyed=False)
async def register(request: Request, devices: Parts, data: JSONBody[FcmDevice | WebDevice]) -> Answer[Envelope[Device]]:
    """Register a device for push, again whenever you like: it stays the same. You have twenty; who was silent goes."""
    match data:
        case WebDevice(endpoint, keys):
            if not is_service(endpoint, devices.services):
                raise Problem(INVALID, errors=[FieldError("endpoint", "not_a_service", _NO_SERVICE)])
            row: tuple[str, str, str | None, str | None] = ("web", endpoint, keys.p256dh, keys.auth)
        case FcmDevice(token):
            row = ("fcm", token, None, None)
    person, locale = request.user.id, request.locale
    async with writing(request, devices.pool) as connection:
        [kept] = await connection.fetch(SQL.add_device, uuid7(), person, *row, locale, devices.now())
        await connection.execute(SQL.trim_devices, person)
    device = convert({**kept, "service": row[0], "locale": locale}, Device)
    return answer(request, ADDED, device, status=201, location=f"/notifications/devices/{device.id}")


@get("/notifications/devices", guards=[signed_in])
async def browse_devices(request: Request, devices: Parts) -> Answer[Envelope[list[Device]]]:
    """List your devices, the newest first."""
    rows = await devices.pool.fetch(SQL.list_devices, request.user.id)
    return answer(request, LISTED, [convert(dict(row), Device) for row in rows])


@delete("/notifications/devices/{device_id:uuid}", guards=[signed_in], status_code=200, keyed=False)
async def remove(request: Request, devices: Parts, device_id: FromPath[UUID]) -> Answer[Envelope[None]]:
    """Remove a device: nothing is pushed to it any more."""
    if await devices.pool.fetchval(SQL.remove_device, device_id, request.user.id) is None:
        raise Problem(NOT_FOUND)
    return answer(request, REMOVED, None)


@get("/notifications/push-key", guards=[signed_in])
async def key(request: Request, devices: Parts) -> Answer[Envelope[PushKey]]:
    """Get the key that a browser subscribes to Web Push with."""
    return answer(request, KEY, PushKey(devices.public_key))


ROUTES: Final = (register, browse_devices, remove, key)
