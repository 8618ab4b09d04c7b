"""A rotation of keys is three deployments; what a process makes, one of the deployment before or after it knows.

docs/operations.md says when the third is due.
"""

from collections.abc import Callable
from itertools import pairwise
from uuid import uuid4

import pytest
from signing import key

from auth.seals import Peppers, unwrap, wrap
from auth.tokens import DeviceTokens, RefreshTokens
from events.keys import Keys, read_keys

OLD, NEW = key(kid="a"), key(kid="b")
DEPLOYMENTS = (OLD, f"{OLD},{NEW}", f"{NEW},{OLD}")
ADDRESS = "ann@example.org"


def refreshes(maker: Keys, reader: Keys) -> bool:
    session = uuid4()
    token = RefreshTokens(reader).read(RefreshTokens(maker).first(session).text)
    return token is not None and token.session_id == session


def knows_the_device(maker: Keys, reader: Keys) -> bool:
    return DeviceTokens(reader).knows(ADDRESS, DeviceTokens(maker).issue(ADDRESS))


def takes_the_code(maker: Keys, reader: Keys) -> bool:
    challenge = uuid4()
    return Peppers(reader).matches(challenge, "519834", *Peppers(maker).hide(challenge, "519834"))


def unwraps(maker: Keys, reader: Keys) -> bool:
    return unwrap(reader, "k1", wrap(maker, "k1", b"a seed")) == b"a seed"


USES: dict[str, Callable[[Keys, Keys], bool]] = {
    "REFRESH_KEYS": refreshes,
    "DEVICE_KEYS": knows_the_device,
    "OTP_PEPPERS": takes_the_code,
    "KEY_WRAPPING_KEYS": unwraps,
}


def works(use: str, maker: str, reader: str) -> bool:
    return USES[use](read_keys(maker, size=32), read_keys(reader, size=32))


@pytest.mark.parametrize("use", USES)
def test_over_each_deployment_what_either_side_makes_the_other_knows(use: str) -> None:
    for before, after in pairwise(DEPLOYMENTS):
        assert works(use, before, after)
        assert works(use, after, before)


@pytest.mark.parametrize("use", USES)
def test_put_in_front_at_once_a_key_is_strange_to_the_processes_that_are_still_there(use: str) -> None:
    assert not works(use, DEPLOYMENTS[2], DEPLOYMENTS[0])


@pytest.mark.parametrize("use", USES)
def test_what_was_made_with_a_dropped_key_is_strange(use: str) -> None:
    assert not works(use, DEPLOYMENTS[0], NEW)
    assert works(use, DEPLOYMENTS[2], NEW)
