"""Leaving: who proves once more to be the owner deletes the account; or takes everything along as one document."""

import asyncio
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import asyncpg
import httpx
import msgspec
import structlog
from msgspec import Raw, Struct

from api.messages import Text
from api.outgoing import trust
from api.problems import Kind, Problem
from auth.signin import CODEC, Attempt, Auth
from auth.tables import Account, ChallengeUsedState, export_of
from events.catalog.auth import UserErased
from events.command import Change, Context, new_command

TIMEOUT: Final = 10.0
PART_MAX: Final = 64 * 1024 * 1024
AT_ONCE: Final = 2

INCOMPLETE: Final = Kind(
    status=503,
    code="export.incomplete",
    title=Text("Not everything is at hand", "일부 데이터를 가져올 수 없습니다"),
    detail=Text(
        "A service that holds data of yours does not answer; nothing is left out: retry after `Retry-After`.",
        "데이터를 보관하는 서비스 중 응답하지 않는 곳이 있습니다. `Retry-After` 이후 다시 시도하세요.",
    ),
)

log = structlog.get_logger(__name__)


async def erase(auth: Auth, account: Account, attempt: Attempt, context: Context) -> int | None:
    """Delete an account by the right code of a challenge of its address; the event's position, None for any other code.

    The database takes account, sessions and challenges away in the transaction that says `UserErased`.
    """
    verified = await auth.judge(attempt, account, account.id, context)
    if verified is None:
        return None
    await auth.limiter.forgive(account.email)
    used = Change(
        aggregate=attempt.challenge_id,
        expected=0,
        subject=account.id,
        events=[verified],
        kind="challenge_used",
        state=ChallengeUsedState(context.time),
    )
    erased = [UserErased(user_id=account.id)]
    left = Change(aggregate=account.id, expected=account.version, subject=account.id, events=erased)
    return (await auth.log.append(new_command(CODEC, context, used, left))).position


class _Part(Struct):
    """What a service answers to `/export`."""

    data: Raw


class Exports:
    """Gathers a person's parts from every service, with that person's own token: all of them or none."""

    def __init__(self, pool: asyncpg.Pool, urls: Mapping[str, str]) -> None:
        self._pool = pool
        self._urls = urls
        self._trust = trust(*urls.values())
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def of(self, person_id: UUID, authorization: str) -> dict[str, Raw]:
        """Everything about a person, by service; raises `Problem` (503) where a service is away."""
        if not self._urls:
            log.error("there is no export: EXPORT_URLS names no service")
            raise Problem(INCOMPLETE, retry_after=60)
        headers = {"authorization": authorization}
        async with self._turn, self._client(headers) as client:
            own = Raw((await export_of(self._pool, person_id)).encode())
            parts = await asyncio.gather(*(_part(client, name, url) for name, url in self._urls.items()))
        return {"auth": own, **dict(zip(self._urls, parts, strict=True))}

    def _client(self, headers: Mapping[str, str]) -> httpx.AsyncClient:
        """A person's token goes to our own services alone, not through what HTTP_PROXY names."""
        return httpx.AsyncClient(timeout=TIMEOUT, headers=headers, trust_env=False, verify=self._trust)


async def _part(client: httpx.AsyncClient, name: str, url: str) -> Raw:
    try:
        return msgspec.json.decode(await _body(client, url), type=_Part).data
    except (httpx.HTTPError, msgspec.DecodeError, ValueError) as error:
        log.warning("a part of an export is missing", service=name, error=type(error).__name__)
        raise Problem(INCOMPLETE, retry_after=5) from None


async def _body(client: httpx.AsyncClient, url: str) -> bytes:
    """Raises `ValueError` for more than memory is for."""
    body = bytearray()
    async with client.stream("GET", url) as response:
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > PART_MAX:
                raise ValueError("too large")
    return bytes(body)
