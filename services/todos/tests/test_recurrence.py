"""When a recurring to-do comes again: calendars, clocks that jump, rules that end."""

# ruff: noqa: DTZ001 - wall times

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todos import recurrence
from todos.recurrence import BadRule, canonical, following, moment

LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)


def next_walls(rule: str, wall: str, zone: str, count: int = 1, now: datetime = LONG_AGO) -> list[str]:
    at, walls = datetime.fromisoformat(wall), []
    for _ in range(count):
        found = following(rule, at, zone, now)
        if found is None:
            break
        rule, at = found.rule, found.wall_time
        walls.append(at.isoformat(timespec="minutes"))
    return walls


def test_daily_at_nine_stays_at_nine_when_the_clocks_change() -> None:
    found = following("FREQ=DAILY", datetime(2026, 3, 28, 9), "Europe/Berlin", LONG_AGO)
    assert found is not None
    assert (found.wall_time, found.due_at) == (datetime(2026, 3, 29, 9), datetime(2026, 3, 29, 7, tzinfo=UTC))
    assert moment(datetime(2026, 3, 28, 9), "Europe/Berlin") == datetime(2026, 3, 28, 8, tzinfo=UTC)


def test_a_time_that_the_clocks_skip_is_an_hour_later_that_day_alone() -> None:
    skipped = following("FREQ=DAILY", datetime(2026, 3, 28, 2, 30), "Europe/Berlin", LONG_AGO)
    assert skipped is not None
    assert (skipped.wall_time, skipped.due_at) == (
        datetime(2026, 3, 29, 2, 30),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),  # 03:30 on the wall
    )
    after = following(skipped.rule, skipped.wall_time, "Europe/Berlin", LONG_AGO)
    assert after is not None
    assert after.due_at == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)  # 02:30 again


def test_a_time_that_comes_twice_is_the_first_of_both() -> None:
    twice = following("FREQ=DAILY", datetime(2026, 10, 24, 2, 30), "Europe/Berlin", LONG_AGO)
    assert twice is not None
    assert twice.due_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_the_31st_leaves_short_months_out_and_the_last_day_does_not() -> None:
    assert next_walls("FREQ=MONTHLY", "2026-01-31T09:00", "UTC", 3) == [
        "2026-03-31T09:00",
        "2026-05-31T09:00",
        "2026-07-31T09:00",
    ]
    assert next_walls("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31T09:00", "UTC", 3) == [
        "2026-02-28T09:00",
        "2026-03-31T09:00",
        "2026-04-30T09:00",
    ]


def test_a_leap_day_comes_every_four_years() -> None:
    assert next_walls("FREQ=YEARLY", "2024-02-29T09:00", "Asia/Seoul", 2) == ["2028-02-29T09:00", "2032-02-29T09:00"]


def test_every_other_monday_and_friday_keeps_its_weeks() -> None:
    assert next_walls("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", "2026-11-23T09:00", "Asia/Seoul", 4) == [
        "2026-11-27T09:00",
        "2026-12-07T09:00",
        "2026-12-11T09:00",
        "2026-12-21T09:00",
    ]


def test_the_next_one_lies_in_the_future_however_late_this_one_was_done() -> None:
    now = datetime(2026, 11, 24, 3, tzinfo=UTC)  # noon in Seoul
    assert next_walls("FREQ=DAILY", "2026-11-01T09:00", "Asia/Seoul", now=now) == ["2026-11-25T09:00"]


def test_a_rule_ends_after_its_count_or_date() -> None:
    assert len(next_walls("FREQ=DAILY;COUNT=3", "2026-11-24T09:00", "UTC", 9)) == 2
    assert next_walls("FREQ=DAILY;UNTIL=20261126", "2026-11-24T09:00", "UTC", 9) == [
        "2026-11-25T09:00",
        "2026-11-26T09:00",
    ]
    assert next_walls("FREQ=DAILY;UNTIL=20261125T000000Z", "2026-11-24T09:00", "Asia/Seoul", 9) == ["2026-11-25T09:00"]


def test_missed_ones_count() -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    assert next_walls("FREQ=DAILY;COUNT=4", "2026-11-24T09:00", "UTC", 9, now) == ["2026-11-27T09:00"]


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "DAILY",
        "FREQ=HOURLY",
        "FREQ=DAILY;BYHOUR=1",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;INTERVAL=5000",
        "FREQ=DAILY;COUNT=2;UNTIL=20300101",
        "FREQ=DAILY;UNTIL=x",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;COUNT=1",
        "FREQ=DAILY\nDTSTART:20200101",
        "FREQ=WEEKLY;BYSETPOS=0",
        "FREQ=DAILY;INTERVAL=²",
        "FREQ=MONTHLY;BYDAY=99MO",
        "FREQ=YEARLY;BYDAY=99MO",
        "FREQ=YEARLY;BYMONTH=13;BYDAY=1MO",
        "FREQ=DAILY;UNTIL=00010101T000000Z",
    ],
)
def test_what_no_to_do_can_follow_is_refused(rule: str) -> None:
    with pytest.raises(BadRule):
        canonical(rule, datetime(2026, 11, 24, 9), "Asia/Seoul")


@pytest.mark.parametrize("rule", ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;BYMONTH=1;BYYEARDAY=200"])
def test_a_rule_that_never_comes_is_followed_for_ten_years_and_not_to_the_end_of_time(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = Counter[int]()
    rebuild = recurrence._Years.rebuild

    def counted(self: recurrence._Years, year: int, month: int) -> None:
        looked_at[year] += 1
        rebuild(self, year, month)

    monkeypatch.setattr(recurrence._Years, "rebuild", counted)
    with pytest.raises(BadRule):
        canonical(rule, datetime(2026, 11, 24, 9), "Asia/Seoul")
    assert 2026 in looked_at
    assert max(looked_at) == 2037


def test_a_rule_that_began_long_before_anybody_had_a_to_do_is_refused() -> None:
    """Each of its days would be counted, while nobody else is served."""
    with pytest.raises(BadRule):
        canonical("FREQ=DAILY", datetime(1, 1, 1, 9), "UTC")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
def test_calendars_say_the_year_9999_for_never(zone: str) -> None:
    assert canonical("FREQ=DAILY;UNTIL=99991231T235959Z", datetime(2026, 11, 24, 9), zone)


def test_at_the_end_of_time_nothing_comes_again() -> None:
    with pytest.raises(BadRule):
        canonical("FREQ=DAILY", datetime(9999, 12, 31, 9), "UTC")


@given(
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.dictionaries(
        st.sampled_from(["BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH", "BYSETPOS"]),
        st.integers(-999, 999),
        max_size=3,
    ),
)
def test_whatever_a_rule_says_it_is_kept_or_refused(frequency: str, parts: dict[str, int]) -> None:
    told = [f"{name}={number}{'MO' * (name == 'BYDAY')}" for name, number in parts.items()]
    rule = ";".join([f"FREQ={frequency}", *told])
    with suppress(BadRule):
        assert canonical(rule, datetime(2026, 11, 24, 9), "Asia/Seoul") == rule


def test_a_rule_is_kept_in_one_spelling() -> None:
    assert canonical(" rrule:freq=weekly;byday=mo ", datetime(2026, 11, 23, 9), "UTC") == "FREQ=WEEKLY;BYDAY=MO"


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(["Asia/Seoul", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
    st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SU", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=DAILY;INTERVAL=3"]),
    st.integers(0, 400),
)
def test_the_next_one_is_always_later_in_the_future_and_shows_the_same_clock(
    wall: datetime, zone: str, rule: str, days_late: int
) -> None:
    now = moment(wall, zone) + timedelta(days=days_late)
    found = following(rule, wall, zone, now)
    assert found is not None
    assert found.due_at > now
    assert found.wall_time > wall
    assert found.wall_time.time() == wall.replace(microsecond=found.wall_time.microsecond).time()
