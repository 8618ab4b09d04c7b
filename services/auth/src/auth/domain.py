"""Signing in, decided: challenges and sessions. Codes were compared and guesses counted before; this judges."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from events.catalog.auth import (
    EndReason,
    OtpRejected,
    OtpRequested,
    OtpVerified,
    RejectReason,
    UserSignedIn,
    UserSignedOut,
)
from events.decider import Decider

GRACE: Final = timedelta(seconds=10)


# A challenge: one code, asked for and answered.


class Challenge(Struct, frozen=True, kw_only=True):
    """A code that was asked for."""

    expires_at: datetime
    used: bool = False


class Answer(Struct, frozen=True, kw_only=True):
    """Somebody answers with a code, as the `guess`-th of at most `guesses`; a right one proves its `owner`."""

    challenge_id: UUID
    owner: UUID | None
    guess: int
    guesses: int
    now: datetime


ChallengeEvent: TypeAlias = OtpRequested | OtpVerified | OtpRejected


def _decide_challenge(command: Answer, state: Challenge | None) -> Sequence[ChallengeEvent]:
    fault = _fault(command, state)
    if fault or command.owner is None:
        return [OtpRejected(challenge_id=command.challenge_id, reason=fault or "wrong")]
    return [OtpVerified(challenge_id=command.challenge_id, user_id=command.owner)]


def _fault(command: Answer, state: Challenge | None) -> RejectReason | None:
    """Why not even the right code would do."""
    if state is None:
        return "unknown"
    if state.used:
        return "used"
    if command.now >= state.expires_at:
        return "expired"
    return "dead" if command.guess > command.guesses else None


def _evolve_challenge(state: Challenge | None, event: ChallengeEvent) -> Challenge | None:
    match event:
        case OtpRequested():
            return Challenge(expires_at=event.expires_at)
        case OtpVerified() if state is not None:
            return replace(state, used=True)
    return state


CHALLENGE: Final = Decider(_decide_challenge, _evolve_challenge, None)


# A session: begins with a right code, ends once.


class SignIn(Struct, frozen=True, kw_only=True):
    """A person's session begins."""

    user_id: UUID
    session_id: UUID


class SignOut(Struct, frozen=True, kw_only=True):
    """A session ends."""

    user_id: UUID
    session_id: UUID
    reason: EndReason


SessionEvent: TypeAlias = UserSignedIn | UserSignedOut
Life: TypeAlias = Literal["none", "open", "ended"]


def _decide_session(command: SignIn | SignOut, life: Life) -> Sequence[SessionEvent]:
    ids = {"user_id": command.user_id, "session_id": command.session_id}
    if isinstance(command, SignIn):
        return [UserSignedIn(**ids)] if life == "none" else []
    return [UserSignedOut(**ids, reason=command.reason)] if life == "open" else []


def _evolve_session(_: Life, event: SessionEvent) -> Life:
    return "open" if isinstance(event, UserSignedIn) else "ended"


SESSION: Final[Decider[SignIn | SignOut, SessionEvent, Life]] = Decider(_decide_session, _evolve_session, "none")

Verdict: TypeAlias = Literal["rotate", "repeat", "reuse"]


def judge_refresh(presented: int, living: int, refreshed_at: datetime, now: datetime) -> Verdict:
    """What a refresh token of generation `presented` means: the living one, a quick retry of its parent, a theft."""
    if presented == living:
        return "rotate"
    return "repeat" if presented == living - 1 and now - refreshed_at <= GRACE else "reuse"
