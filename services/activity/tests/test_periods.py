"""When a week or a month begins and is closed, in every zone, whatever its clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activity.periods import PERIODS, closes_at, following, latest_due, opened, report_id, span_before, span_of, zone_of
from events.catalog.activity import Period

ZONES: Final = st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})).map(ZoneInfo)
KINDS: Final = st.sampled_from(PERIODS)
# Clocks of all kinds: days that are skipped (Samoa in 2011) or come twice, changes at midnight, on a Monday.
MOMENTS: Final = st.datetimes(datetime(1880, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
APIA: Final = ZoneInfo("Pacific/Apia")
SEOUL: Final = ZoneInfo("Asia/Seoul")
BERLIN: Final = ZoneInfo("Europe/Berlin")


@given(KINDS, MOMENTS, st.lists(ZONES, min_size=1, max_size=5))
@example("week", datetime(2011, 12, 20, tzinfo=UTC), [APIA])
@example("month", datetime(2011, 12, 20, tzinfo=UTC), [APIA, SEOUL])
def test_periods_touch_and_never_overlap_though_the_zone_changes_in_between(
    period: Period, at: datetime, zones: list[ZoneInfo]
) -> None:
    this = opened(period, at, zones[0])
    end, names = this.since, [this.first_day]
    for zone in zones:
        span = span_of(this, zone)
        assert end == span.since < span.until <= closes_at(this, zone)
        end, this = span.until, following(this, zone)
        names.append(this.first_day)
    assert names == sorted(set(names))
    assert all(is_first_day(period, day) for day in names)


def is_first_day(period: Period, day: date) -> bool:
    return day.weekday() == 0 if period == "week" else day.day == 1


@given(KINDS, MOMENTS, ZONES)
def test_a_moment_lies_in_the_period_that_it_opens(period: Period, at: datetime, zone: ZoneInfo) -> None:
    this = opened(period, at, zone)
    span = span_of(this, zone)
    # Where a midnight comes twice, the date is the first one's until the clocks go back.
    assert span.since <= at < span.until + timedelta(hours=2)
    assert opened(period, span.until - timedelta(days=1), zone).first_day == this.first_day


@given(KINDS, MOMENTS, ZONES)
def test_a_period_is_closed_at_nine_on_the_wall(period: Period, at: datetime, zone: ZoneInfo) -> None:
    this = opened(period, at, zone)
    wall = closes_at(this, zone).astimezone(zone)
    assert (wall.time(), wall.date()) == (time(9), following(this, zone).first_day)


@given(KINDS, MOMENTS, ZONES, st.integers(0, 5))
def test_of_what_was_missed_the_latest_is_closed_and_never_one_that_is_not_due(
    period: Period, at: datetime, zone: ZoneInfo, missed: int
) -> None:
    this = expected = opened(period, at, zone)
    for _ in range(missed):
        expected = following(expected, zone)
    assert latest_due(this, zone, closes_at(expected, zone)) == expected
    just_before = closes_at(following(expected, zone), zone) - timedelta(microseconds=1)
    assert latest_due(this, zone, just_before) == expected


@given(KINDS, MOMENTS, ZONES)
def test_the_period_before_is_the_one_whose_report_came_before(period: Period, at: datetime, zone: ZoneInfo) -> None:
    this = opened(period, at, zone)
    after = following(this, zone)
    assert span_before(after, zone) == span_of(this, zone)


def test_a_week_in_which_the_clocks_change_is_an_hour_shorter_or_longer() -> None:
    for at, hours in ((datetime(2026, 3, 25, tzinfo=UTC), 167), (datetime(2026, 10, 21, tzinfo=UTC), 169)):
        span = span_of(opened("week", at, BERLIN), BERLIN)
        assert span.until - span.since == timedelta(hours=hours)


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "../etc/passwd", "Europe", "localtime", "posix/UTC"])
def test_where_no_zone_is_known_it_is_that_of_seoul(name: str | None) -> None:
    assert zone_of(name) == SEOUL


def test_a_report_is_named_by_person_period_and_first_day_alone() -> None:
    person, other = UUID(int=1), UUID(int=2)
    week, month = (opened(period, datetime(2026, 6, 3, tzinfo=UTC), SEOUL) for period in PERIODS)
    elsewhere = opened("week", datetime(2026, 6, 3, tzinfo=UTC), BERLIN)
    ids = {report_id(who, what) for who in (person, other) for what in (week, month, following(week, SEOUL))}
    assert len(ids) == 6
    assert report_id(person, week) == report_id(person, elsewhere)
