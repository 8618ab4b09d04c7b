"""News of a to-do that is no longer true."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import UNSET

from events.catalog.stale import made_stale, stale_before
from events.catalog.todos import TodoDeleted, TodoEdited, TodoRestored, TodoToggled
from events.ids import uuid7

TODO, NOW = uuid7(), datetime(2026, 11, 28, tzinfo=UTC)
FACTS: dict[str, Any] = {"title": "우유 사기", "priority": 3}
REMINDERS = ("due_soon", "overdue")


def toggled(*, completed: bool, todo_id: UUID = TODO) -> TodoToggled:
    return TodoToggled(todo_id=todo_id, completed=completed, **FACTS)


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        (toggled(completed=True), REMINDERS),
        (toggled(completed=False), ("completion",)),
        (TodoDeleted(todo_id=TODO, completed=False, **FACTS), REMINDERS),
        (TodoEdited(todo_id=TODO, due_at=NOW), REMINDERS),
        (TodoEdited(todo_id=TODO, due_at=None), REMINDERS),
        (TodoEdited(todo_id=TODO, due_at=UNSET, title="빵 사기"), ()),
        (TodoRestored(todo_id=TODO, completed=False, **FACTS), ()),
    ],
)
def test_nobody_is_reminded_of_what_is_done_gone_or_moved_nor_told_of_what_was_undone(event: Any, kinds: Any):
    assert made_stale(event) == kinds


def test_of_several_events_the_last_says_before_when_news_is_untrue():
    later, other = NOW + timedelta(seconds=1), uuid7()
    done, undone = toggled(completed=True), toggled(completed=False, todo_id=other)
    assert stale_before([(done, later), (done, NOW), (undone, NOW), (object(), later)]) == {
        (TODO, "due_soon"): later,
        (TODO, "overdue"): later,
        (other, "completion"): NOW,
    }
