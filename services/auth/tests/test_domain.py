"""What a challenge, a person and a session decide."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from auth.domain import CHALLENGE, SESSION, Answer, SignIn, SignOut, judge_refresh
from events.catalog.auth import OtpRejected, OtpRequested, OtpVerified, UserSignedIn, UserSignedOut
from events.testing import given

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
C, ADA, S = (UUID(int=n) for n in (1, 2, 3))
REQUESTED = OtpRequested(challenge_id=C, sealed="k1.x", locale=None, expires_at=NOW + timedelta(minutes=5))
VERIFIED = OtpVerified(challenge_id=C, user_id=ADA)
SIGNED_IN = UserSignedIn(user_id=ADA, session_id=S)
RIGHT = Answer(challenge_id=C, owner=ADA, guess=1, guesses=5, now=NOW)


def answer(**changes: Any) -> Answer:
    return Answer(**({name: getattr(RIGHT, name) for name in RIGHT.__struct_fields__} | changes))


def rejected(reason: Any) -> OtpRejected:
    return OtpRejected(challenge_id=C, reason=reason)


def test_the_right_code_verifies_its_challenge() -> None:
    given(CHALLENGE, REQUESTED).when(RIGHT).then(VERIFIED)


def test_the_right_code_works_once() -> None:
    given(CHALLENGE, REQUESTED).when(RIGHT).then(VERIFIED).when(RIGHT).then(rejected("used"))


def test_a_wrong_code_is_rejected() -> None:
    given(CHALLENGE, REQUESTED).when(answer(owner=None)).then(rejected("wrong"))


def test_the_fifth_guess_still_counts_and_the_sixth_fails_whatever_it_is() -> None:
    given(CHALLENGE, REQUESTED).when(answer(guess=5)).then(VERIFIED)
    given(CHALLENGE, REQUESTED).when(answer(guess=6)).then(rejected("dead"))


def test_a_code_dies_at_its_expiry_to_the_moment() -> None:
    given(CHALLENGE, REQUESTED).when(answer(now=REQUESTED.expires_at - timedelta.resolution)).then(VERIFIED)
    given(CHALLENGE, REQUESTED).when(answer(now=REQUESTED.expires_at)).then(rejected("expired"))


def test_an_unknown_challenge_is_rejected() -> None:
    given(CHALLENGE).when(RIGHT).then(rejected("unknown"))


def test_a_session_begins_once_and_ends_once() -> None:
    leave = SignOut(user_id=ADA, session_id=S, reason="logout")
    left = UserSignedOut(user_id=ADA, session_id=S, reason="logout")
    begun = given(SESSION).when(SignIn(user_id=ADA, session_id=S)).then(SIGNED_IN)
    begun.when(SignIn(user_id=ADA, session_id=S)).then_nothing()
    begun.when(leave).then(left).when(leave).then_nothing()


def test_a_session_that_never_began_cannot_end() -> None:
    given(SESSION).when(SignOut(user_id=ADA, session_id=S, reason="logout")).then_nothing()


@pytest.mark.parametrize(
    ("presented", "seconds", "verdict"),
    [
        (3, 0, "rotate"),
        (3, 10_000, "rotate"),
        (2, 0, "repeat"),
        (2, 10, "repeat"),
        (2, 10.001, "reuse"),
        (1, 0, "reuse"),
        (4, 0, "reuse"),
    ],
)
def test_only_the_living_token_rotates_and_only_its_parent_may_repeat_for_ten_seconds(
    presented: int, seconds: float, verdict: str
) -> None:
    assert judge_refresh(presented, 3, NOW, NOW + timedelta(seconds=seconds)) == verdict
