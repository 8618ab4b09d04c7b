"""Leaving: who proves once more to be the owner deletes the account; or takes everything along as one document."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import httpx
import msgspec
import structlog

from api.exports import Holdings
from api.messages import Text
from api.outgoing import trust
from api.problems import Kind, Problem
from api.streamed import ASKED_AGAIN, Turns
from auth.account import OPERATOR, Accounts
from auth.signin import CODEC, Attempt, Auth
from auth.tables import SQL, Account, ChallengeUsedState, said_of_person
from events.catalog.auth import UserErased, UserRegistered
from events.command import Change, Context, new_command
from events.deciding import decided_again
from events.ids import uuid7

TIMEOUT: Final = 10.0
HEAD_MAX: Final = 4096

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


async def erase_person(accounts: Accounts, person_id: UUID) -> bool | None:
    """Say `UserErased` of a person for an operator (`python -m auth`); False where it was said before, None of nobody.

    Decided on the log alone: after a restore it may know somebody who has no account, and whom other services know too.
    """

    async def attempt() -> bool | None:
        said = await said_of_person(accounts.pool, person_id)
        types = {name for _, name in said}
        if CODEC.name_of_type(UserErased) in types:
            return False
        if CODEC.name_of_type(UserRegistered) not in types:  # a session's id, or a challenge's
            return None
        version, _ = said[-1]
        erased = [UserErased(user_id=person_id)]
        left = Change(aggregate=person_id, expected=version, subject=person_id, events=erased)
        context = Context(time=accounts.now(), correlation_id=str(uuid7()), actor=OPERATOR)
        await accounts.log.append(new_command(CODEC, context, left))
        return True

    return await decided_again(attempt)


class Exports:
    """Passes a person's parts on from every service, with that person's own token: all of them, or it breaks off.

    They are asked together, so that one that is away is known before anything is sent; then they are read in turn.
    """

    def __init__(self, pool: asyncpg.Pool, urls: Mapping[str, str]) -> None:
        self.turns = Turns()
        self._own = Holdings(pool, {}, few=SQL.export)
        self._urls = urls
        self._trust = trust(*urls.values())

    async def of(self, person_id: UUID, authorization: str, now: datetime) -> AsyncGenerator[bytes]:
        """Everything about a person, by service, as JSON in pieces; raises `Problem` (503) where a service is away."""
        if not self._urls:
            log.error("there is no export: EXPORT_URLS names no service")
            raise Problem(INCOMPLETE, retry_after=60)
        async with self._client({"authorization": authorization}) as client:
            asked = await asyncio.gather(*(_ask(client, name, url) for name, url in self._urls.items()))
            answers = [answer for answer in asked if answer is not None]
            if any(answer.status_code == ASKED_AGAIN.status for answer in answers):  # through another process of auth
                raise Problem(ASKED_AGAIN)
            if len(answers) < len(asked):
                raise Problem(INCOMPLETE, retry_after=5)
            yield b'{"exported_at":%b,"services":{' % msgspec.json.encode(now)
            for name, answer in zip(self._urls, answers, strict=True):
                yield b"%b:" % msgspec.json.encode(name)
                async with aclosing(_part(name, answer)) as part:
                    async for piece in part:
                        yield piece
                yield b","
        # Last, for it knows at the end whether anything was erased meanwhile.
        yield b'"auth":'
        async with aclosing(self._own.of(person_id)) as part:
            async for piece in part:
                yield piece
        yield b"}}"

    def _client(self, headers: Mapping[str, str]) -> httpx.AsyncClient:
        """A person's token goes to our own services alone, not through what HTTP_PROXY names."""
        return httpx.AsyncClient(timeout=TIMEOUT, headers=headers, trust_env=False, verify=self._trust)


async def _ask(client: httpx.AsyncClient, name: str, url: str) -> httpx.Response | None:
    """A service's answer as it begins, None where there is none, or one that says that they asked again."""
    try:
        answer = await client.send(client.build_request("GET", url), stream=True)
        return answer if answer.status_code == ASKED_AGAIN.status else answer.raise_for_status()
    except httpx.HTTPError as error:
        log.warning("a part of an export is missing", service=name, error=type(error).__name__)
        return None


async def _part(name: str, answer: httpx.Response) -> AsyncGenerator[bytes]:
    """What an answer says under `data`; raises `Problem` (503) where it breaks off."""
    try:
        async with aclosing(_data(answer)) as pieces:
            async for piece in pieces:
                yield piece
    except (httpx.HTTPError, ValueError) as error:
        log.warning("a part of an export is missing", service=name, error=type(error).__name__)
        raise Problem(INCOMPLETE, retry_after=5) from None


async def _data(answer: httpx.Response) -> AsyncGenerator[bytes]:
    """All from `data` on but the last brace, which is the envelope's."""
    chunks = answer.aiter_bytes()
    held = await _after_head(chunks)
    async for chunk in chunks:
        yield held[:-1]
        held = held[-1:] + chunk
    if not held.endswith(b"}"):
        raise ValueError("no end")
    yield held[:-1]


async def _after_head(chunks: AsyncIterator[bytes]) -> bytes:
    """What has come from `data` on. Before it come only texts, in which a quote has a backslash before it."""
    held = b""
    async for chunk in chunks:
        held += chunk
        _, found, rest = held.partition(b'"data":')
        if found:
            return rest
        if len(held) > HEAD_MAX:
            break
    raise ValueError("no data")
