"""What a person decides."""

from typing import Any
from uuid import UUID

import pytest

from auth.person import PERSON, ChangeProfile, ChangeRole, NobodyThere, Register, decide
from events.catalog.auth import ProfileChanged, RolesChanged, UserRegistered
from events.testing import given

ADA = UUID(int=2)
REGISTERED = UserRegistered(user_id=ADA, sealed_contact="k1.x", locale=None, timezone=None)


def profile(**chosen: Any) -> ChangeProfile:
    return ChangeProfile(user_id=ADA, **chosen)


def changed(**chosen: Any) -> ProfileChanged:
    return ProfileChanged(user_id=ADA, **chosen)


def role(change: Any, role: Any) -> ChangeRole:
    return ChangeRole(user_id=ADA, role=role, change=change)


def roles(*roles: str) -> RolesChanged:
    return RolesChanged(user_id=ADA, roles=roles)


def test_a_person_registers_once() -> None:
    register = Register(user_id=ADA, sealed_contact="k1.x")
    given(PERSON).when(register).then(REGISTERED).when(register).then_nothing()


def test_only_what_differs_is_said() -> None:
    first = given(PERSON, REGISTERED).when(profile(name="Ada", locale="ko")).then(changed(name="Ada", locale="ko"))
    first.when(profile(name="Ada", locale="en")).then(changed(locale="en"))


def test_null_takes_a_choice_back_and_what_is_left_out_stays() -> None:
    given(PERSON, REGISTERED, changed(name="Ada", timezone="Asia/Seoul")).when(profile(timezone=None)).then(
        changed(timezone=None)
    ).when(profile(timezone=None)).then_nothing().when(profile()).then_nothing()


def test_a_role_is_granted_once_and_revoked_once_beside_the_others() -> None:
    granted = given(PERSON, REGISTERED).when(role("grant", "operator")).then(roles("operator"))
    both = granted.when(role("grant", "operator")).then_nothing().when(role("grant", "analyst"))
    one = both.then(roles("analyst", "operator")).when(role("revoke", "operator")).then(roles("analyst"))
    one.when(role("revoke", "operator")).then_nothing()


@pytest.mark.parametrize("command", [profile(name="Ada"), role("grant", "analyst")])
def test_nobody_has_neither_profile_nor_roles(command: Any) -> None:
    with pytest.raises(NobodyThere):
        decide(command, None)
