"""What a to-do decides."""

from uuid import UUID

from events.catalog.todos import TodoCreated, TodoToggled
from events.testing import given
from todos.domain import TODO, Create, NoSuchTodo, Toggle

ID = UUID(int=7)
FIELDS = {
    "todo_id": ID,
    "title": "우유 사기",
    "description": None,
    "priority": 2,
    "due_at": None,
    "remind_minutes_before": 30,
}
created = TodoCreated(completed=False, **FIELDS)


def toggled(*, completed: bool) -> TodoToggled:
    return TodoToggled(todo_id=ID, title="우유 사기", priority=2, completed=completed)


def test_a_new_to_do_is_open_and_has_what_was_asked_for() -> None:
    given(TODO).when(Create(**FIELDS)).then(created)


def test_creating_it_once_more_changes_nothing() -> None:
    given(TODO, created).when(Create(**FIELDS)).then_nothing()


def test_toggling_completes_an_open_to_do_and_reopens_a_completed_one() -> None:
    completed = given(TODO, created).when(Toggle()).then(toggled(completed=True))
    completed.when(Toggle()).then(toggled(completed=False))


def test_nothing_can_be_toggled_that_was_never_created() -> None:
    given(TODO).when(Toggle()).refused(NoSuchTodo)
