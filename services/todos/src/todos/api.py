"""To-dos over HTTP. Reads are here, writes go to `writing.py`; see libs/api for what is around them."""

from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Raw

from api.answers import COUNTED, Answer, Envelope, Page, answer, page
from api.guard import signed_in
from api.idempotency import intent_of, running
from api.messages import Message, Text
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.problems import INVALID, MALFORMED, NOT_FOUND, FieldError, Kind, Problem
from api.requests import Request
from api.routes import delete, get, patch, post
from todos.batch import answers, headers_of
from todos.history import Entry, entry_of, past_of
from todos.history import at as state_at
from todos.shapes import (
    At,
    Batch,
    Changes,
    Completed,
    Count,
    Deleted,
    DueAfter,
    DueBefore,
    NewTodo,
    Order,
    Overdue,
    Result,
    Search,
    Since,
    Sort,
    Sync,
    Todo,
    TodoChanges,
    Urgency,
    fields_of_new,
    in_utc,
    shown,
)
from todos.tables import (
    Created,
    Due,
    Filters,
    Ranked,
    TodoRow,
    changed_todos,
    count_deleted,
    count_todos,
    list_deleted,
    list_todos,
    position,
)
from todos.writing import (
    DELETED,
    EDITED,
    FULL,
    RESTORED,
    TOGGLED,
    UNDONE,
    Plan,
    Todos,
    Write,
    change,
    create,
    edited,
    own,
    simply,
    toggled,
    undone,
)

BATCH_BYTES: Final = 4 * 1024 * 1024
SYNC_MOST: Final = 10_000
SYNC_WITHIN: Final = timedelta(days=30)

FOUND: Final = Message(key="todo.found", en="Todo retrieved successfully", ko="할 일을 조회했습니다")
LISTED: Final = Message(key="todo.listed", en="Todos retrieved successfully", ko="할 일 목록을 조회했습니다")
TOLD: Final = Message(key="todo.history", en="History retrieved successfully", ko="변경 이력을 조회했습니다")
SYNCED: Final = Message(key="todo.changes", en="Changes retrieved successfully", ko="변경 사항을 조회했습니다")
DONE: Final = Message(key="todo.batch", en="Batch processed", ko="일괄 요청을 처리했습니다")

TOO_OLD: Final = Kind(
    status=410,
    code="sync.too_old",
    title=Text("Away too long", "너무 오래된 동기화 위치"),
    detail=Text(
        "`since` is more than 30 days old: ask without it for a new position, then list all to-dos.",
        "`since`가 30일보다 오래되었습니다. `since` 없이 새 위치를 받은 다음 전체 목록을 조회하세요.",
    ),
)
_NOT_YET: Final = Text("`since` must be a position that was told", "`since`는 응답받은 위치여야 합니다")
_ONLY_CREATED: Final = FieldError(
    "sort", "not_a_choice", Text("deleted ones are sorted by `created`", "삭제된 항목은 `created`로만 정렬합니다")
)

Parts: TypeAlias = NamedDependency[Todos]
_PLACES: Final[dict[Sort, type[Created | Due | Ranked]]] = {"created": Created, "due": Due, "priority": Ranked}


@post("/todos", guards=[signed_in], problems=[FULL])
async def add(request: Request, data: JSONBody[NewTodo], todos: Parts) -> Answer[Envelope[Todo]]:
    """Create a to-do."""
    fields, intent = fields_of_new(data), await intent_of(request)
    with running(request, intent):
        return await create(Write(todos, request, intent), fields)


@get("/todos", guards=[signed_in])
async def browse(
    request: Request,
    todos: Parts,
    *,
    limit: Limit = 20,
    cursor: Cursor = None,
    sort: Order = "created",
    completed: Completed = None,
    priority: Urgency = None,
    due_after: DueAfter = None,
    due_before: DueBefore = None,
    overdue: Overdue = False,
    deleted: Deleted = False,
    q: Search = None,
    count: Count = False,
) -> Answer[Page[Todo]]:
    """List your to-dos: newest, soonest due or most urgent first; `count` adds how many there are in all."""
    after = from_cursor(cursor, _PLACES[sort]) if cursor else _PLACES[sort]()
    due = (in_utc("due_after", due_after), in_utc("due_before", due_before), todos.now() if overdue else None)
    filters = _filters(completed, priority, due, q)
    if deleted:
        if not isinstance(after, Created):
            raise Problem(INVALID, errors=[_ONLY_CREATED])
        rows = await list_deleted(todos.pool, request.user.id, filters, after, limit + 1)
        total = await count_deleted(todos.pool, request.user.id, filters, COUNTED + 1) if count else None
    else:
        rows = await list_todos(todos.pool, request.user.id, filters, after, limit + 1)
        total = await count_todos(todos.pool, request.user.id, filters, COUNTED + 1) if count else None
    more = to_cursor(_place(sort, rows[limit - 1])) if len(rows) > limit else None
    return page(request, LISTED, [shown(row) for row in rows[:limit]], more, total=total)


@get("/todos/changes", guards=[signed_in], problems=[TOO_OLD])
async def changes(request: Request, todos: Parts, since: Since = None) -> Answer[Envelope[Changes]]:
    """Get what changed after a position; without one, the position to list everything at and to ask from later."""
    last, next_at = await position(todos.pool, since or 0)
    if since is None:
        return answer(request, SYNCED, Changes(last, more=False, changes=[]))
    if not 0 <= since <= last:
        raise Problem(MALFORMED, what=_NOT_YET)
    if next_at is not None and next_at < todos.now() - SYNC_WITHIN:
        raise Problem(TOO_OLD)
    found = await changed_todos(todos.pool, request.user.id, since, SYNC_MOST + 1)
    told, more = found[:SYNC_MOST], len(found) > SYNC_MOST
    reached = told[-1].position if more else max(last, *(each.position for each in told), 0)
    news = [Sync(each.id, each.position, shown(each.row) if each.row else None) for each in told]
    return answer(request, SYNCED, Changes(reached, more=more, changes=news))


@post("/todos/batch", guards=[signed_in], status_code=200, request_max_body_size=BATCH_BYTES)
async def batch(request: Request, data: JSONBody[Batch], todos: Parts) -> Answer[Envelope[list[Result]]]:
    """Do up to a hundred things at once; each has a result of its own."""
    intent = await intent_of(request)
    with running(request, intent):
        parts = await answers(Write(todos, request, intent), data.commands)
    done = answer(request, DONE, [Result(part.status, Raw(part.body)) for part in parts])
    done.headers |= headers_of(parts)
    return done


@get("/todos/{todo_id:uuid}", guards=[signed_in])
async def show(request: Request, todos: Parts, todo_id: FromPath[UUID], at: At = None) -> Answer[Envelope[Todo]]:
    """Get one of your to-dos, now or as it was at a moment."""
    row: TodoRow | None = await own(todos, request.user.id, todo_id)
    if moment := in_utc("at", at):
        row = state_at(await past_of(todos.pool, todo_id), moment)
    if row is None or row.deleted:
        raise Problem(NOT_FOUND)
    return answer(request, FOUND, shown(row), version=row.version)


@get("/todos/{todo_id:uuid}/history", guards=[signed_in])
async def history(
    request: Request, todos: Parts, todo_id: FromPath[UUID], limit: Limit = 20, cursor: Cursor = None
) -> Answer[Page[Entry]]:
    """Get who changed what and when, newest first; deleted ones have theirs until they are purged."""
    await own(todos, request.user.id, todo_id)
    before = from_cursor(cursor, int) if cursor else None
    past = [step for step in reversed(await past_of(todos.pool, todo_id)) if before is None or step.seq < before]
    more = to_cursor(past[limit - 1].seq) if len(past) > limit else None
    return page(request, TOLD, [entry_of(step, request.locale) for step in past[:limit]], more)


@patch("/todos/{todo_id:uuid}", guards=[signed_in])
async def edit(
    request: Request, todos: Parts, todo_id: FromPath[UUID], data: JSONBody[TodoChanges]
) -> Answer[Envelope[Todo]]:
    """Change some fields (JSON merge patch)."""
    return await _written(request, todos, todo_id, EDITED, edited(data))


@patch("/todos/{todo_id:uuid}/toggle", guards=[signed_in])
async def toggle(request: Request, todos: Parts, todo_id: FromPath[UUID]) -> Answer[Envelope[Todo]]:
    """Complete an open to-do, reopen a completed one. Takes no body."""
    return await _written(request, todos, todo_id, TOGGLED, toggled)


@delete("/todos/{todo_id:uuid}", guards=[signed_in], status_code=200)
async def remove(request: Request, todos: Parts, todo_id: FromPath[UUID]) -> Answer[Envelope[Todo]]:
    """Delete a to-do; for 30 days it can be restored."""
    return await _written(request, todos, todo_id, DELETED, simply("delete"))


@post("/todos/{todo_id:uuid}/restore", guards=[signed_in], status_code=200, problems=[FULL])
async def restore(request: Request, todos: Parts, todo_id: FromPath[UUID]) -> Answer[Envelope[Todo]]:
    """Bring a deleted to-do back. Takes no body."""
    return await _written(request, todos, todo_id, RESTORED, simply("restore"))


@post("/todos/{todo_id:uuid}/undo", guards=[signed_in], status_code=200, problems=[FULL])
async def undo(request: Request, todos: Parts, todo_id: FromPath[UUID]) -> Answer[Envelope[Todo]]:
    """Undo the last change; undone once more, it is made again. Takes no body."""
    return await _written(request, todos, todo_id, UNDONE, undone)


ROUTES: Final = (add, browse, changes, batch, show, history, edit, toggle, remove, restore, undo)


async def _written(request: Request, todos: Todos, todo_id: UUID, message: Message, plan: Plan) -> Answer[Any]:
    intent = await intent_of(request)
    with running(request, intent):
        return await change(Write(todos, request, intent, request.headers.get("if-match")), todo_id, message, plan)


def _filters(
    completed: bool | None,  # noqa: FBT001 - one of several filters
    priority: int | None,
    due: tuple[datetime | None, datetime | None, datetime | None],
    q: str | None,
) -> Filters:
    """`due`: from, before, and the present where only what is open and late is asked for."""
    due_from, due_before, now = due
    moments = [moment for moment in (due_before, now) if moment is not None]
    return Filters(
        completed=completed,
        only_open=now is not None,
        priority=priority,
        due_from=due_from,
        due_before=min(moments) if moments else None,
        pattern=_pattern(q),
    )


def _pattern(q: str | None) -> str | None:
    """Any text that contains the words as they are: `%` and `_` are letters like others."""
    if q is None or not q.strip():
        return None
    escaped = q.strip().replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


def _place(sort: Sort, row: TodoRow) -> Created | Due | Ranked:
    match sort:
        case "due":
            return Due(row.due_at, row.id)
        case "priority":
            return Ranked(row.priority, row.created_at, row.id)
    return Created(row.deleted_at or row.created_at, row.id)
