"""What a to-do decides."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from events.catalog.todos import (
    TodoCreated,
    TodoDeleted,
    TodoDueSoon,
    TodoEdited,
    TodoOverdue,
    TodoPurged,
    TodoRestored,
    TodoToggled,
)
from events.testing import given
from todos.domain import TODO, Command, Create, Edit, NoSuchTodo, Ring, Toggle

ID = UUID(int=7)
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
SHOWN = {"todo_id": ID, "title": "우유 사기", "priority": 2}
created = TodoCreated(**SHOWN, description=None, completed=False, due_at=None, remind_minutes_before=30)
dated = TodoCreated(**SHOWN, description=None, completed=False, due_at=NOON, remind_minutes_before=30)
deleted = TodoDeleted(**SHOWN, completed=False)
soon = TodoDueSoon(**SHOWN, due_at=NOON, due_zone=None)
overdue = TodoOverdue(**SHOWN, due_at=NOON, due_zone=None)


def toggled(*, completed: bool, next_id: UUID | None = None) -> TodoToggled:
    return TodoToggled(**SHOWN, completed=completed, next_id=next_id)


def minutes(count: int) -> Ring:
    return Ring(NOON + timedelta(minutes=count))


def test_a_new_to_do_is_what_was_asked_for() -> None:
    given(TODO).when(Create(created)).then(created)


def test_creating_it_once_more_changes_nothing() -> None:
    given(TODO, created).when(Create(created)).then_nothing()


def test_toggling_completes_an_open_to_do_and_reopens_a_completed_one() -> None:
    completed = given(TODO, created).when(Toggle()).then(toggled(completed=True))
    completed.when(Toggle()).then(toggled(completed=False))


def test_an_edit_says_only_what_changed() -> None:
    edit = Edit({"title": "빵 사기", "priority": 2, "description": None})
    edited = given(TODO, created).when(edit).then(TodoEdited(todo_id=ID, title="빵 사기"))
    edited.when(edit).then_nothing()


def test_what_is_deleted_comes_back_as_it_was() -> None:
    completed = given(TODO, created, toggled(completed=True))
    put_away = completed.when("delete").then(TodoDeleted(**SHOWN, completed=True))
    back = put_away.when("restore").then(TodoRestored(**SHOWN, completed=True))
    assert back.state == completed.state


@pytest.mark.parametrize("command", [Toggle(), Edit({"priority": 1}), "delete"])
def test_a_deleted_to_do_must_be_restored_first(command: Command) -> None:
    given(TODO, created, deleted).when(command).refused(NoSuchTodo)


def test_only_what_is_deleted_is_purged_and_then_nothing_is_left() -> None:
    given(TODO, created).when("purge").then_nothing()
    purged = given(TODO, created, deleted).when("purge").then(TodoPurged(todo_id=ID))
    assert purged.state is None


@pytest.mark.parametrize("command", [Toggle(), Edit({"priority": 1}), "delete", "restore", "purge", minutes(0)])
def test_nothing_can_be_done_to_what_was_never_created(command: Command) -> None:
    given(TODO).when(command).refused(NoSuchTodo)


@pytest.mark.parametrize("command", [Create(created), Edit({"priority": 1}), "restore", "purge", minutes(0)])
def test_a_command_that_is_tried_again_changes_nothing_more(command: Command) -> None:
    before = [] if isinstance(command, Create) else [dated, deleted] if isinstance(command, str) else [dated]
    outcome = given(TODO, *before).when(command)
    assert outcome.events
    if command == "purge":
        outcome.then(TodoPurged(todo_id=ID)).when(command).refused(NoSuchTodo)
    else:
        assert outcome.retried() == []


def test_a_reminder_comes_once_before_the_deadline_and_then_that_it_passed() -> None:
    open_ = given(TODO, dated)
    open_.when(minutes(-31)).then_nothing()
    told = open_.when(minutes(-30)).then(soon)
    told.when(minutes(-29)).then_nothing()
    late = told.when(minutes(0)).then(overdue)
    late.when(minutes(1)).then_nothing()


def test_a_reminder_that_was_slept_through_is_not_made_good() -> None:
    given(TODO, dated).when(minutes(1)).then(overdue).when(minutes(2)).then_nothing()


def test_without_a_reminder_only_the_deadline_itself_is_told() -> None:
    edited = given(TODO, dated, TodoEdited(todo_id=ID, remind_minutes_before=None))
    edited.when(minutes(-1)).then_nothing()
    edited.when(minutes(0)).then(overdue)


@pytest.mark.parametrize("event", [toggled(completed=True), deleted])
def test_nobody_is_reminded_of_what_is_done_or_deleted(event: TodoToggled | TodoDeleted) -> None:
    given(TODO, dated, event).when(minutes(1)).then_nothing()


def test_another_deadline_is_told_anew_and_one_that_was_told_before_is_not() -> None:
    tomorrow = NOON + timedelta(days=1)
    moved = given(TODO, dated, soon, overdue, TodoEdited(todo_id=ID, due_at=tomorrow))
    moved.when(Ring(tomorrow)).then(TodoOverdue(**SHOWN, due_at=tomorrow, due_zone=None))
    soon_again = TodoDueSoon(**SHOWN, due_at=tomorrow, due_zone=None)
    away, home = TodoEdited(todo_id=ID, due_at=tomorrow), TodoEdited(todo_id=ID, due_at=NOON)
    back = given(TODO, dated, soon, away, soon_again, home)
    back.when(minutes(-1)).then_nothing()
    back.when(minutes(0)).then(overdue)


def test_a_reminder_before_the_calendar_began_is_no_trouble() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    ancient = given(TODO, dated, TodoEdited(todo_id=ID, due_at=first, remind_minutes_before=527_040))
    ancient.when(minutes(0)).then(TodoOverdue(**SHOWN, due_at=first, due_zone=None))
