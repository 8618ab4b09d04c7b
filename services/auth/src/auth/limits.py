"""What is refused for being too often: counted in Postgres, for all replicas, each in a transaction of its own."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import ceil
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
from msgspec import Struct

from api.messages import Text
from api.problems import TOO_MANY_REQUESTS, Kind, Problem
from auth import tables
from auth.seals import Peppers
from auth.tables import Allowance
from events.batcher import Batcher
from events.errors import NotNow
from events.postgres import AWAY

LOCKED: Final = Kind(
    status=429,
    code="otp.locked",
    title=Text("Sign-in is locked for a while", "로그인이 잠시 잠겼습니다"),
    detail=Text(
        "Too many wrong codes: wait as long as `Retry-After` says, or use a device that signed in before.",
        "잘못된 코드가 너무 많이 입력되었습니다. `Retry-After`만큼 기다리거나 이전에 로그인한 기기를 사용하세요.",
    ),
)
REFUSALS: Final = (LOCKED, TOO_MANY_REQUESTS)
_ADDRESS: Final = re.compile(
    r"(?=.{3,254}\Z)(?=[^@]{1,64}@)"
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])"
)

Network: TypeAlias = IPv4Network | IPv6Network


class Rule(Struct, frozen=True):
    """At most `count` at once, coming back evenly over `seconds`; a `count` of 0 is no limit."""

    count: int
    seconds: int

    @property
    def step(self) -> timedelta:
        """How long until one comes back."""
        return timedelta(seconds=self.seconds / self.count)


class Limits(Struct, frozen=True, kw_only=True):
    """The rules: for codes by address or known device (`resend` is the wait between two) and by network; for guesses.

    A network is what `trusted_proxies` saw. A code dies of `guesses` wrong ones; `lock_after` wrong ones in a row lock
    an address for unknown devices for `lock_for`.
    """

    resend: Rule
    per_hour: Rule
    per_day: Rule
    asks_per_network: Rule
    guesses_per_network: Rule
    guesses: int
    lock_after: int
    lock_for: timedelta
    trusted_proxies: Sequence[Network]


class Asker(Struct, frozen=True, kw_only=True):
    """Who answers a code: for which address, from which network, whether on a device that the address knows."""

    email: str
    network: str
    is_known: bool


class Limiter:
    """Holds requests against the rules while its `tasks` run. Addresses and networks are counted under keyed hashes."""

    def __init__(self, pool: asyncpg.Pool, limits: Limits, peppers: Peppers) -> None:
        self._pool = pool
        self._limits = limits
        self._blind = peppers.blind
        # An allowance is taken from once a turn: the next one must see that.
        self._taken = Batcher(partial(tables.take, pool), apart=lambda asked: (key for key, *_ in asked[0]))
        self._locked_until = Batcher(partial(tables.locked_until, pool))
        self.tasks = (self._taken.run, self._locked_until.run)

    def network_of(self, peer: str, forwarded_for: str) -> str:
        """Whom to count a request for: see `network_of`."""
        return network_of(peer, forwarded_for, self._limits.trusted_proxies)

    @asynccontextmanager
    async def code(self, email: str, device: str | None, network: str, now: datetime) -> AsyncIterator[None]:
        """Count a code around its sending; raises `Problem` (429) where it comes too early.

        `device` is the token of a device that the address knows: it has allowances of its own, since anybody can use up
        the address's. A code that was not sent, or not surely, does not count: its client is told to ask again.
        """
        kind, asker = ("", email) if device is None else ("device ", device)
        allowances = _active(
            (self._blind(f"{kind}resend", asker), self._limits.resend),
            (self._blind(f"{kind}hour", asker), self._limits.per_hour),
            (self._blind(f"{kind}day", asker), self._limits.per_day),
            (self._blind("asks", network), self._limits.asks_per_network),
        )
        await self._take(allowances, now)
        try:
            yield
        except (NotNow, *AWAY):
            if allowances:
                with suppress(*AWAY):
                    await tables.give_back(self._pool, allowances)
            raise

    async def guess(self, challenge_id: UUID, asker: Asker, now: datetime) -> tables.Guess | None:
        """Count an answer before it is compared: for its network, its challenge, its address.

        None for a challenge that this address never had; raises `Problem` (429) where the network guesses too often, or
        where guesses that came together with this one have locked the address.
        """
        email, network = asker.email, asker.network
        await self._take(_active((self._blind("guesses", network), self._limits.guesses_per_network)), now)
        streak = tables.Streak(
            key=self._blind("streak", email),
            lock_after=self._limits.lock_after,
            locked_until=now + self._limits.lock_for,
        )
        guess = await tables.count_guess(
            self._pool, challenge_id, email, now, guesses=self._limits.guesses, streak=streak
        )
        if guess and not asker.is_known:
            _refuse_until(guess.locked_until, now)
        return guess

    async def refuse_locked(self, email: str, now: datetime) -> None:
        """Raise `Problem` (429) while wrong guesses lock an address."""
        _refuse_until(await self._locked_until(self._blind("streak", email)), now)

    async def forgive(self, email: str) -> None:
        """A right code came: wrong ones are no longer in a row, and the next code need not be waited for."""
        await tables.forgive(self._pool, self._blind("streak", email), self._blind("resend", email))

    async def _take(self, allowances: Sequence[Allowance], now: datetime) -> None:
        wait = await self._taken((allowances, now)) if allowances else timedelta(0)
        if wait:
            raise Problem(TOO_MANY_REQUESTS, retry_after=ceil(wait.total_seconds()))


def _refuse_until(locked_until: datetime | None, now: datetime) -> None:
    if locked_until is not None and locked_until > now:
        raise Problem(LOCKED, retry_after=ceil((locked_until - now).total_seconds()))


def _active(*rules: tuple[bytes, Rule]) -> list[Allowance]:
    return [(key, rule.step, rule.count) for key, rule in rules if rule.count]


def address_of(text: str) -> str | None:
    """An e-mail address, trimmed and lower-cased; None for what is none (RFC 5321 without quoted names, in ASCII)."""
    # Judged before lower-casing could turn look-alikes (the Kelvin sign) into letters.
    address = text.strip().lower() if text.strip().isascii() else ""
    return address if _ADDRESS.fullmatch(address) else None


def network_of(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Whom to count a request for: whom the farthest trusted proxy saw, an IPv4 address or an IPv6 /64.

    `peer` is who connected; `forwarded_for` is the X-Forwarded-For header: each proxy appends whom it saw, so what
    stands left of an untrusted one may be forged.
    """
    seen = _ip(peer)
    for hop in reversed(forwarded_for.split(",")):
        before = _ip(hop.strip())
        if seen is None or before is None or not any(seen in network for network in trusted):
            break
        seen = before
    return str(ip_network((seen, 64), strict=False)) if isinstance(seen, IPv6Address) else str(seen)


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
