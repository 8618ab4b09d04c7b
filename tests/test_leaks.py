"""The judge of `just leaks`: what grows is said to grow, and a peak is no growth."""

import pytest

from leaks.samples import CONNECTIONS, FILES, HELD, MEMORY, TASKS, Held, Sample, growth
from local.layout import SERVICES

MINUTES = 30


def samples(**odd: float) -> list[Sample]:
    """Half an hour in which every service holds 100 of everything, `activity` each minute more of what is `odd`."""
    return [
        Sample(minute, service, held.name, 100 + minute * (odd.get(held.name, 0) if service == "activity" else 0))
        for minute in range(MINUTES)
        for service in SERVICES
        for held in HELD
    ]


def test_what_stays_as_it_is_does_not_grow() -> None:
    assert not any(each.grows for each in growth(samples(), MINUTES))


@pytest.mark.parametrize(("held", "a_minute"), [(MEMORY, 0.5), (FILES, 1), (TASKS, 1), (CONNECTIONS, 2)])
def test_what_grows_a_little_each_minute_is_found(held: Held, a_minute: float) -> None:
    found = [each for each in growth(samples(**{held.name: a_minute}), MINUTES) if each.grows]
    assert [(each.service, each.held) for each in found] == [("activity", held.name)]


def test_what_grows_while_it_warms_up_or_for_a_moment_does_not_grow() -> None:
    warm = [
        Sample(each.minute, each.service, each.held, each.value - 50 if each.minute < 9 else each.value)
        for each in samples()
    ]
    peak = [Sample(29, service, held.name, 900) for service in SERVICES for held in HELD]
    assert not any(each.grows for each in growth(warm + peak, MINUTES))
