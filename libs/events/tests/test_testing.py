"""Given, when, then: says what happened, and fails loudly where something else did."""

import pytest

from events.decider import Decider
from events.testing import given


class LampBrokenError(Exception):
    pass


def decide(command: str, state: str) -> list[str]:
    if state == "broken":
        raise LampBrokenError("buy a new one")
    return [] if command == state else [command]


LAMP: Decider[str, str, str] = Decider(decide=decide, evolve=lambda _, event: event, initial="off")


def test_an_accepted_command_goes_on_from_its_state() -> None:
    given(LAMP).when("on").then("on").when("off").then("off").when("off").then_nothing()


def test_given_events_are_the_state() -> None:
    assert given(LAMP, "on", "off", "on").state == "on"


def test_other_events_than_expected_fail() -> None:
    with pytest.raises(AssertionError, match=r"expected \['off'\], got \['on'\]"):
        given(LAMP).when("on").then("off")
    with pytest.raises(AssertionError, match=r"got \['on'\]"):
        given(LAMP).when("on").then_nothing()


def test_a_refusal_is_told_with_its_reason() -> None:
    refusal = given(LAMP, "broken").when("on").refused(LampBrokenError)
    assert str(refusal) == "buy a new one"


def test_an_expected_event_that_was_refused_fails() -> None:
    with pytest.raises(AssertionError, match="was refused: LampBroken"):
        given(LAMP, "broken").when("on").then("on")


def test_an_expected_refusal_of_another_kind_or_none_at_all_fails() -> None:
    with pytest.raises(AssertionError, match="expected KeyError, got LampBrokenError"):
        given(LAMP, "broken").when("on").refused(KeyError)
    with pytest.raises(AssertionError, match=r"expected KeyError, got \['on'\]"):
        given(LAMP).when("on").refused(KeyError)


def test_a_command_tried_again_changes_nothing_where_it_is_already_so() -> None:
    assert given(LAMP).when("on").retried() == []
