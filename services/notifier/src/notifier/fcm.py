"""Firebase Cloud Messaging, HTTP v1, with a service account's tokens."""

import asyncio
from collections.abc import Callable
from time import monotonic, time
from typing import Any, Final

import google.auth.exceptions
import google.auth.transport
import httpx
import msgspec
from google.oauth2 import service_account

from notifier.providers import TIMEOUT, Deferred, Mark, Push, Refused, Target, Unregistered, not_now, posted

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
PAUSE: Final = 5.0
"""Seconds for which no token is asked for once none was given: each worker would else wait for that in turn."""


def is_account(text: str) -> bool:
    """Whether this is a service account's key file, as JSON."""
    try:
        details = msgspec.json.decode(text, type=dict[str, Any])
        service_account.Credentials.from_service_account_info(details)  # type: ignore[no-untyped-call]
    except (ValueError, google.auth.exceptions.GoogleAuthError):
        return False
    return isinstance(details.get("project_id"), str)


class _Response(google.auth.transport.Response):
    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> dict[str, str]:
        return dict(self._answer.headers)

    @property
    def data(self) -> bytes:
        return self._answer.content


class _Request(google.auth.transport.Request):
    """How google-auth asks for a token: over httpx, in a thread."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Any = None,
        timeout: Any = None,
        **_: Any,
    ) -> _Response:
        try:
            return _Response(httpx.request(method, url, content=body, headers=headers, timeout=timeout or TIMEOUT / 2))
        except httpx.HTTPError as error:
            raise google.auth.exceptions.TransportError(type(error).__name__) from None  # type: ignore[no-untyped-call]


class Fcm:
    """Pushes by FCM at `url`; `account` is a service account's key file as JSON, `now` gives seconds that only grow."""

    def __init__(self, client: httpx.AsyncClient, url: str, account: str, now: Callable[[], float] = monotonic) -> None:
        details = msgspec.json.decode(account)
        self._client = client
        self._url = f"{url}/v1/projects/{details['project_id']}/messages:send"
        self._credentials = service_account.Credentials.from_service_account_info(details, scopes=[SCOPE])  # type: ignore[no-untyped-call]
        self._turn = asyncio.Lock()
        self._now = now
        self._failure, self._pause_ends = "", 0.0

    async def send(self, target: Target, push: Push, mark: Mark) -> None:
        """Push once; raises what `notifier.providers` names."""
        token = await self._token()
        message = {
            "token": target.address,
            "notification": {"title": push.words.title, "body": push.words.body},
            "data": {"id": push.tag, "kind": push.kind},
            "android": {"ttl": f"{push.lives}s", "notification": {"tag": push.tag}},
            "apns": {"headers": {"apns-collapse-id": push.tag, "apns-expiration": str(int(time()) + push.lives)}},
            "webpush": {"headers": {"TTL": str(push.lives)}},
        }
        headers = {"authorization": f"Bearer {token}"}
        request = self._client.build_request("POST", self._url, json={"message": message}, headers=headers)
        answer = await posted(self._client, mark, request)
        if answer.status_code == 401:
            self._credentials.token = None  # the next attempt gets a fresh one
        if answer.status_code != 200:
            raise failure_of(answer)

    async def _token(self) -> str:
        async with self._turn:
            if not self._credentials.valid:
                await self._refresh()
        return str(self._credentials.token)

    async def _refresh(self) -> None:
        """Get a new token; a failure stands for all who ask within `PAUSE`."""
        if self._now() < self._pause_ends:
            raise Deferred(self._failure)
        try:
            await asyncio.to_thread(self._credentials.refresh, _Request())
        except google.auth.exceptions.GoogleAuthError as error:
            self._failure, self._pause_ends = type(error).__name__, self._now() + PAUSE
            raise Deferred(self._failure) from None


def failure_of(answer: httpx.Response) -> Exception:
    """What a refusal means (FCM's ErrorCode). A 404 without its code is a wrong address, which the operator mends."""
    code = _error_code(answer.content)
    if code == "UNREGISTERED":
        return Unregistered(code)
    if answer.status_code in {401, 403, 404, 429} or answer.status_code >= 500:
        return Refused(code) if code == "SENDER_ID_MISMATCH" else not_now(answer)
    return Refused(code or str(answer.status_code))


class _Detail(msgspec.Struct, frozen=True):
    code: str = msgspec.field(name="errorCode", default="")


class _Error(msgspec.Struct, frozen=True):
    details: tuple[_Detail, ...] = ()


class _Body(msgspec.Struct, frozen=True):
    error: _Error = _Error()


def _error_code(body: bytes) -> str:
    try:
        found = [detail.code for detail in msgspec.json.decode(body, type=_Body).error.details if detail.code]
    except msgspec.DecodeError:
        return ""
    return found[0] if found and found[0].isascii() and len(found[0]) <= 40 else ""
