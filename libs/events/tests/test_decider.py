"""A decider folds events to the state it decides on."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from events.decider import Decider


def decide(command: str, state: Sequence[str]) -> list[str]:
    return [] if command in state else [command]


def evolve(state: tuple[str, ...], event: str) -> tuple[str, ...]:
    return (*state, event)


SEEN: Decider[str, str, tuple[str, ...]] = Decider(decide=decide, evolve=evolve, initial=())


@given(st.lists(st.text()))
def test_events_are_folded_in_their_order(events: list[str]) -> None:
    assert SEEN.fold(events) == tuple(events)


@given(st.lists(st.text()), st.lists(st.text()))
def test_folding_on_from_a_state_is_folding_all(first: list[str], then: list[str]) -> None:
    assert SEEN.fold(then, SEEN.fold(first)) == SEEN.fold([*first, *then])


def test_a_state_that_is_false_is_still_a_state() -> None:
    count: Decider[int, int, int] = Decider(decide=lambda c, _: [c], evolve=lambda s, e: s + e, initial=10)
    assert count.fold([], 0) == 0
