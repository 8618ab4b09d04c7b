"""Lists: filters, search, order, pages, counts."""

import asyncio
from itertools import product
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from todoing import Service, runner, running

from local.fixtures import DatabaseFactory
from local.layout import REPOSITORY

FILL = (REPOSITORY / "bench" / "sql" / "fill_todos.sql").read_text()
DAYS = [None, "2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z", "2026-12-03T00:00:00Z"]


LAST = "9999-12-31T23:59:59.999999Z"


async def pages(todos: Service, query: str, *, limit: int) -> list[list[str]]:
    path, seen = f"/todos?{query}&limit={limit}", []
    while path:
        answer = await todos.get(path)
        assert answer.status_code == 200, answer.text
        seen.append([todo["title"] for todo in answer.json()["data"]])
        path = answer.links["next"]["url"] if "link" in answer.headers else ""
    return seen


async def test_filters_narrow_and_combine(todos: Service) -> None:
    for title, priority, due in (("a", 1, DAYS[1]), ("b", 2, DAYS[2]), ("c", 2, None), ("d", 2, DAYS[3])):
        await todos.create(title=title, priority=priority, due_at=due)
    assert await todos.titles("priority=2") == ["d", "c", "b"]
    assert await todos.titles(f"due_after={DAYS[2]}") == ["d", "b"]
    assert await todos.titles(f"due_before={DAYS[2]}") == ["a"]
    assert await todos.titles(f"due_after={DAYS[1]}&due_before={DAYS[3]}&priority=2") == ["b"]
    assert await todos.titles("sort=due") == ["a", "b", "d", "c"]
    assert await todos.titles("sort=priority") == ["a", "d", "c", "b"]
    assert await todos.titles("sort=due&priority=2") == ["b", "d", "c"]
    assert await todos.titles("completed=&q=&priority=") == ["d", "c", "b", "a"]


async def test_overdue_is_what_is_open_and_past_its_deadline(todos: Service) -> None:
    late = await todos.create(title="late", due_at="2020-01-01T00:00:00Z")
    done = await todos.create(title="done", due_at="2020-01-01T00:00:00Z")
    await todos.done(done, "toggle")
    await todos.create(title="later", due_at="2100-01-01T00:00:00Z")
    await todos.create(title="whenever")
    for sort in ("created", "due", "priority"):
        assert await todos.titles(f"overdue=true&sort={sort}") == ["late"]
        assert await todos.titles(f"overdue=true&completed=false&sort={sort}") == ["late"]
        assert await todos.titles(f"overdue=true&completed=true&sort={sort}") == []
    await todos.done(late, "edit", {"due_at": "2100-01-01T00:00:00Z"})
    assert await todos.titles("overdue=true") == []


async def test_filters_narrow_what_is_deleted_too(todos: Service) -> None:
    for title, priority, due in (("a", 1, DAYS[1]), ("b", 2, DAYS[2]), ("c", 2, None)):
        await todos.done(await todos.create(title=title, priority=priority, due_at=due), "delete")
    done = await todos.done(await todos.create(title="done", due_at=DAYS[3]), "toggle")
    await todos.done(done, "delete")
    for query, found in (
        ("", ["done", "c", "b", "a"]),
        ("priority=2", ["c", "b"]),
        ("completed=true", ["done"]),
        (f"due_after={DAYS[2]}", ["done", "b"]),
        (f"due_before={DAYS[2]}", ["a"]),
        ("q=do", ["done"]),
    ):
        assert await todos.titles(f"deleted=true&{query}") == found, query
        answer = await todos.get(f"/todos?deleted=true&limit=1&count=true&{query}")
        assert answer.json()["total"] == len(found), query


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("우유", ["우유 사기", "딸기우유"]),
        ("유", ["우유 사기", "딸기우유"]),
        ("MILK", ["Buy milk"]),
        ("저지방", ["우유 사기"]),
        ("100%", ["100% done"]),
        ("%", ["100% done"]),
        ("_", []),
        ("a\\b", []),
        ("사기 저지방", []),
    ],
)
async def test_a_search_finds_parts_of_words_in_title_and_description(todos: Service, q: str, found: list[str]) -> None:
    await todos.create(by=uuid4(), title="우유 milk 100%")
    for title, description in (("100% done", None), ("Buy milk", ""), ("딸기우유", None), ("우유 사기", "저지방으로")):
        await todos.create(title=title, description=description)
    answer = await todos.http.get("/todos", params={"q": q, "count": "true"}, headers=todos.as_(todos.me))
    assert [todo["title"] for todo in answer.json()["data"]] == found
    assert answer.json()["total"] == len(found)


async def test_counts_are_there_on_request_alone(todos: Service) -> None:
    for _ in range(3):
        todo = await todos.create()
    await todos.done(todo, "toggle")
    await todos.done(await todos.create(), "delete")
    answers = {
        query: (await todos.get(f"/todos?limit=1&count=true&{query}")).json()["total"]
        for query in ("", "completed=true", "completed=false", "priority=1", "deleted=true")
    }
    assert answers == {"": 3, "completed=true": 1, "completed=false": 2, "priority=1": 0, "deleted=true": 1}
    assert "total" not in (await todos.get("/todos")).json()


async def test_a_count_ends_at_ten_thousand_and_says_so(database: DatabaseFactory) -> None:
    made = database("todos")
    connection = await asyncpg.connect(made.owner_url)
    try:
        await connection.execute(FILL, 12_500, 2)
        rows = await connection.fetch("select user_id, deleted, count(*) as there from todo group by 1, 2")
    finally:
        await connection.close()
    assert sorted(row["there"] > 10_000 for row in rows) == [False, False, False, True]
    async with running(made.url) as todos:
        for user_id, deleted, there in rows:
            query = f"/todos?limit=1&count=true&deleted={str(deleted).lower()}"
            answer = (await todos.http.get(query, headers=todos.as_(user_id))).json()
            assert (answer["total"], answer["total_capped"]) == (min(there, 10_000), there > 10_000)


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("sort=title", 422, "sort"),
        ("priority=high", 422, "priority"),
        ("due_after=tomorrow", 422, "due_after"),
        ("due_before=2026-12-01T00:00:00", 422, "due_before"),
        ("overdue=maybe", 422, "overdue"),
        ("deleted=true&sort=due", 422, "sort"),
        ("q=" + "x" * 101, 422, "q"),
        ("sort=due&cursor=WyJ4Il0", 400, None),
    ],
)
async def test_a_bad_parameter_is_named(todos: Service, query: str, status: int, field: str | None) -> None:
    answer = await todos.get(f"/todos?{query}")
    assert answer.status_code == status, answer.text
    assert field is None or field in {error["field"] for error in answer.json()["errors"]}


async def test_the_last_moment_that_there_is_comes_before_no_deadline(todos: Service) -> None:
    """asyncpg sends it as PostgreSQL's infinity."""
    for title, due_at in zip("abcd", [None, None, LAST, LAST], strict=True):
        await todos.create(title=title, due_at=due_at)
    assert await pages(todos, "sort=due", limit=1) == [["c"], ["d"], ["a"], ["b"]]


@pytest.mark.parametrize("sort", ["created", "due", "priority"])
async def test_pages_stay_where_they_are_while_to_dos_are_added_and_removed(todos: Service, sort: str) -> None:
    made = [await todos.create(title=f"{n}", priority=n % 2 + 1, due_at=DAYS[n % 4]) for n in range(12)]
    whole = [title for page in await pages(todos, f"sort={sort}", limit=100) for title in page]
    first = (await todos.get(f"/todos?sort={sort}&limit=5")).json()
    for n in range(5):
        await todos.create(title="new", priority=n + 1, due_at=DAYS[n % 4])
    await todos.done(next(todo for todo in made if todo["title"] == whole[4]), "delete")
    cursor, rest = first["next_cursor"], []
    while cursor:
        page = (await todos.get(f"/todos?sort={sort}&limit=5&cursor={cursor}")).json()
        cursor, rest = page["next_cursor"], rest + [todo["title"] for todo in page["data"]]
    assert [title for title in rest if title != "new"] == whole[5:]


async def test_any_filters_in_any_order_agree_with_a_plain_look_at_all(database: DatabaseFactory) -> None:
    async with running(database("todos").url) as todos:
        made = []
        for n, (priority, due) in enumerate(product((1, 3, 5), DAYS)):
            todo = await todos.create(title=f"{n} {'우유' if n % 2 else 'milk'}", priority=priority, due_at=due)
            made.append(await todos.done(todo, "toggle") if n % 3 == 0 else todo)

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            sort=st.sampled_from(["created", "due", "priority"]),
            completed=st.sampled_from([None, True, False]),
            priority=st.sampled_from([None, 1, 2, 3]),
            after=st.sampled_from(DAYS),
            before=st.sampled_from(DAYS),
            q=st.sampled_from([None, "우유", "k"]),
            limit=st.integers(1, 5),
        )
        def agree(
            *,
            sort: str,
            completed: bool | None,
            priority: int | None,
            after: str | None,
            before: str | None,
            q: str | None,
            limit: int,
        ) -> None:
            wanted = [
                todo
                for todo in reversed(made)
                if completed in {None, todo["completed"]}
                and priority in {None, todo["priority"]}
                and (not (after or before) or todo["due_at"] is not None)
                and (not after or str(todo["due_at"]) >= after)
                and (not before or str(todo["due_at"]) < before)
                and (q is None or q in str(todo["title"]))
            ]
            if sort == "priority":
                wanted.sort(key=lambda todo: todo["priority"])
            if sort == "due":
                wanted.sort(key=lambda todo: (todo["due_at"] or "9", todo["id"]))
            given = {"completed": completed, "priority": priority, "due_after": after, "due_before": before, "q": q}
            query = "&".join(f"{name}={str(value).lower()}" for name, value in given.items() if value is not None)
            found = run(pages(todos, f"sort={sort}&{query}", limit=limit))
            assert [title for page in found for title in page] == [todo["title"] for todo in wanted]
            assert all(len(page) == limit for page in found[:-1])

        run = runner()
        await asyncio.to_thread(agree)
