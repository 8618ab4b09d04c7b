"""What the routes do: load, decide, append. A code becomes a session; a refresh token the next one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar
from uuid import UUID, uuid4

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from auth import tables
from auth.domain import CHALLENGE, SESSION, Answer, Challenge, SignIn, SignOut, judge_refresh
from auth.limits import Asker, Limiter
from auth.person import PERSON, Person, Register
from auth.seals import CodeLetter, Contact, Peppers, new_code, seal
from auth.tables import Account, Guess, Session
from auth.tokens import AccessTokens, DeviceTokens, RefreshToken, RefreshTokens
from events.batcher import Batcher
from events.catalog.auth import EndReason, OtpRejected, OtpRequested
from events.catalog.types import TYPES
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Context, new_command
from events.deciding import decided_again
from events.errors import BadCommand, OutcomeUnknown, VersionConflict
from events.ids import uuid7
from events.keys import Keys
from events.log import Log
from events.process import Task

T = TypeVar("T")
CODEC: Final = Codec(TYPES)
TRIES: Final = 5


class Policy(Struct, frozen=True, kw_only=True):
    """What is set: `guesses` kill a code of `code_length` digits, which lives for `code_for`."""

    code_length: int
    code_for: timedelta
    guesses: int
    session_for: timedelta


class Asked(Struct, frozen=True):
    """A code is on its way; `position` is its event's in feed OTP."""

    challenge_id: UUID
    code: str
    position: int


class Attempt(Struct, frozen=True):
    """An answer to a challenge, counted and compared; without a `guess` its address never had the challenge."""

    challenge_id: UUID
    email: str
    guess: Guess | None
    right: bool
    device: str | None


class Opened(Struct, frozen=True):
    """A session began; `position` is its last event's in feed AUTH."""

    account: Account
    refresh_token: RefreshToken
    position: int


@dataclass(frozen=True, slots=True)
class Auth:
    """Everything that signing in needs; `account_of` gives the account of an address, reserved or registered."""

    otp_log: Log
    log: Log
    pool: asyncpg.Pool
    account_of: Batcher[str, tables.Account | None]
    policy: Policy
    limiter: Limiter
    peppers: Peppers
    mailer_keys: Keys
    access: AccessTokens
    refresh: RefreshTokens
    devices: DeviceTokens

    @property
    def tasks(self) -> Sequence[Task]:
        """What must run while anybody signs in."""
        return (*self.limiter.tasks, self.account_of.run)

    async def ask(self, email: str, context: Context) -> Asked:
        """Send a code to an address. The challenge's id is random, so that it is never a person's (UUIDv7)."""
        account = await self.account_of(email)
        locale = account.locale if account else None
        challenge_id, code = uuid4(), new_code(self.policy.code_length)
        expires_at = context.time + self.policy.code_for
        letter = CodeLetter(recipient=email, code=code, expires_at=expires_at, locale=locale)
        sealed = seal(self.mailer_keys, letter)
        asked = OtpRequested(challenge_id=challenge_id, sealed=sealed, locale=locale, expires_at=expires_at)
        pepper, mac = self.peppers.hide(challenge_id, code)
        state = tables.ChallengeState(email=email, code_mac=mac, pepper=pepper, expires_at=expires_at)
        change = _new(challenge_id, challenge_id, [asked], "challenge", state)
        appended = await self.otp_log.append(new_command(CODEC, context, change))
        return Asked(challenge_id, code, appended.position)

    async def answer(
        self, challenge_id: UUID, code: str, asker: Asker, context: Context, *, device: str | None
    ) -> Opened | None:
        """Open a session with the right code, once; None for a wrong, used, expired, dead or unknown one."""
        attempt = await self.prove(challenge_id, code, asker, context, device=device)
        return await decided_again(partial(self._settle, attempt, context))

    async def prove(
        self, challenge_id: UUID, code: str, asker: Asker, context: Context, *, device: str | None = None
    ) -> Attempt:
        """Count an answer to a challenge, then compare it."""
        guess = await self.limiter.guess(challenge_id, asker, context.time)
        right = guess is not None and self.peppers.matches(guess.id, code, guess.pepper, guess.code_mac)
        return Attempt(challenge_id, asker.email, guess, right, device)

    async def judge(self, attempt: Attempt, account: Account | None, owner: UUID, context: Context) -> Struct | None:
        """The proof that an answer is its owner's, on the challenge as it is now; None for a refusal, which is said."""
        command = Answer(
            challenge_id=attempt.challenge_id,
            owner=owner if attempt.right else None,
            guess=attempt.guess.guesses if attempt.guess else 0,
            guesses=self.policy.guesses,
            now=context.time,
        )
        [outcome] = CHALLENGE.decide(command, await self._challenge(attempt.guess))
        if isinstance(outcome, OtpRejected):
            await self._say_rejected(attempt, outcome, account, context)
            return None
        return outcome

    async def exchange(self, text: str, context: Context, clock: Clock) -> tuple[Account, RefreshToken] | None:
        """The child of a refresh token and whose it is; None where it is worth nothing (then its thief is out too)."""
        presented = self.refresh.read(text)
        if presented is None:
            return None
        account = await tables.account_of_session(self.pool, presented.session_id)
        if account is None:
            return None
        # Last: once the child is made its client must hear of it soon.
        child = await decided_again(partial(self._child, presented, context, clock))
        return (account, child) if child else None

    async def end(self, session_id: UUID, reason: EndReason, context: Context) -> int | None:
        """End a session; the position of what was said, None where it had ended before."""
        return await decided_again(partial(self._end, session_id, reason, context))

    async def _settle(self, attempt: Attempt, context: Context) -> Opened | None:
        """Open a session or refuse, on the challenge as it is now."""
        account = await self.account_of(attempt.email) if attempt.guess else None
        owner = account.id if account else uuid7()
        verified = await self.judge(attempt, account, owner, context)
        if verified is None:
            return None
        account = account or await self._reserve(owner, attempt.email)
        await self.limiter.forgive(attempt.email)
        return await self._open(attempt, verified, account, context)

    async def _challenge(self, guess: Guess | None) -> Challenge | None:
        if guess is None:
            return None
        used = await tables.is_used(self.pool, guess.id)
        return None if used is None else Challenge(expires_at=guess.expires_at, used=used)

    async def _reserve(self, user_id: UUID, email: str) -> Account:
        """Fix the id of an address, so that two first sign-ins at once cannot make two people."""
        await tables.reserve_account(self.pool, user_id, email)
        account = await self.account_of(email)
        if account is None or account.id != user_id:
            raise VersionConflict("another first sign-in to this address came first")
        return account

    async def _say_rejected(self, attempt: Attempt, outcome: Struct, account: Account | None, context: Context) -> None:
        """Under its own id: refusals are facts apart, and parallel ones must not conflict."""
        if attempt.challenge_id.version != 4:
            # No id of ours: said as a subject, it could name somebody else's person.
            return
        # A reserved id is nobody's yet.
        subject = account.id if account and account.version else attempt.challenge_id
        change = Change(aggregate=uuid7(), expected=0, subject=subject, events=[outcome])
        await self.log.append(new_command(CODEC, context, change))

    async def _open(self, attempt: Attempt, verified: Struct, account: Account, context: Context) -> Opened:
        """The challenge is used, the person registered where they were not, the session begun: all or nothing."""
        user_id, now, token = account.id, context.time, self.refresh.first(uuid7())
        contact = seal(self.mailer_keys, Contact(recipient=account.email))
        register = Register(user_id=user_id, sealed_contact=contact)
        registered = PERSON.decide(register, Person() if account.version else None)
        begun = SESSION.decide(SignIn(user_id=user_id, session_id=token.session_id), "none")
        until = now + self.policy.session_for
        session = tables.SessionState(
            user_id=user_id, refresh_hash=token.hash, created_at=now, expires_at=until, device=attempt.device
        )
        changes = (
            _new(attempt.challenge_id, user_id, [verified], "challenge_used", tables.ChallengeUsedState(now)),
            _new(user_id, user_id, registered, "account", tables.AccountState(account.email, now)),
            _new(token.session_id, user_id, begun, "session", session),
        )
        context = replace(context, actor=str(user_id))
        try:
            command = new_command(CODEC, context, *(change for change in changes if change.events))
            appended = await self.log.append(command)
        except BadCommand:  # a session needs its account, an address has one account
            raise VersionConflict("the person left meanwhile, or their reserved id went and another one came") from None
        return Opened(account, token, appended.position)

    async def _child(self, presented: RefreshToken, context: Context, clock: Clock) -> RefreshToken | None:
        session = await tables.get_session(self.pool, presented.session_id)
        # The grace is for the client, whatever waits here: it begins when the child is made, ends when the retry comes.
        now, came = clock(), context.time
        if session is None or session.ended_at is not None or now >= session.expires_at:
            return None
        match judge_refresh(presented.generation, session.generation, session.refreshed_at, came):
            case "rotate":
                child, until = self.refresh.child(presented), now + self.policy.session_for
                try:
                    made = await tables.rotate(self.pool, presented.hash, child.hash, session.id, now=now, until=until)
                except TimeoutError:
                    raise OutcomeUnknown("the refresh token may have been exchanged; send it again") from None
                if made:
                    return child
                raise VersionConflict("another request exchanged this refresh token first")
            case "repeat":
                return next((c for c in self.refresh.children(presented) if c.hash == session.refresh_hash), None)
            case "reuse":
                await self.end(session.id, "reuse", context)
        return None

    async def _end(self, session_id: UUID, reason: EndReason, context: Context) -> int | None:
        session = await tables.get_session(self.pool, session_id)
        if session is None:
            return None
        change = ended(session, reason, context.time)
        if not change.events:
            return None
        return (await self.log.append(new_command(CODEC, context, change))).position


def _new(aggregate: UUID, subject: UUID, events: Sequence[Struct], kind: str, state: Struct) -> Change:
    """What happens first to an aggregate."""
    return Change(aggregate=aggregate, expected=0, subject=subject, events=events, kind=kind, state=state)


def ended(session: Session, reason: EndReason, now: datetime) -> Change:
    """What ends a session; a change without events where it had ended before."""
    command = SignOut(user_id=session.user_id, session_id=session.id, reason=reason)
    events = SESSION.decide(command, "open" if session.ended_at is None else "ended")
    return Change(
        aggregate=session.id,
        expected=session.version,
        subject=session.user_id,
        events=events,
        kind="session_ended",
        state=tables.SessionEndedState(now) if events else None,
    )
