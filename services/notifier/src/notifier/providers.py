"""What providers of push and SMS answer, in the words that deliveries know."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import httpx
from msgspec import Struct

from notifier.texts import Words

TIMEOUT: Final = 10.0
Mark = Callable[[], Awaitable[None]]
"""Awaited just before the point of no return."""


class Deferred(Exception):
    """Not now: nothing was delivered. `after` is in seconds, None where the provider names no time."""

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Refused(Exception):
    """This notification will never be taken."""


class Unregistered(Exception):
    """The device is no more."""


class Unsure(Exception):
    """Nobody knows whether it was taken."""


class Target(Struct, frozen=True, kw_only=True):
    """A device, or a phone by its number; `p256dh` and `auth` are a Web Push subscription's keys (base64url)."""

    address: str
    p256dh: str = ""
    auth: str = ""


class Push(Struct, frozen=True, kw_only=True):
    """What is sent; a device shows what bears one `tag` once. `lives` is how many seconds it is worth delivering."""

    tag: str
    kind: str
    words: Words
    lives: int


class Provider(Protocol):
    """Sends to one service's devices; raises what is named above."""

    async def send(self, target: Target, push: Push, mark: Mark) -> None:
        """Send once."""


async def posted(
    client: httpx.AsyncClient, mark: Mark, request: httpx.Request, auth: tuple[str, str] | None = None
) -> httpx.Response:
    """The provider's answer; raises `Deferred` where the request cannot have arrived, `Unsure` where it may have."""
    await mark()
    try:
        return await client.send(request, auth=auth)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Deferred(type(error).__name__) from None
    except httpx.HTTPError as error:
        raise Unsure(type(error).__name__) from None


def not_now(response: httpx.Response) -> Deferred:
    """A refusal for the moment, with the time that `Retry-After` names (RFC 9110, section 10.2.3)."""
    text = response.headers.get("retry-after", "")
    after: float | None = None
    if text.isascii() and text.isdigit():
        after = float(text[:9])
    else:
        with suppress(ValueError, TypeError):  # no date, or one without a zone
            after = max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    return Deferred(str(response.status_code), after=after)
