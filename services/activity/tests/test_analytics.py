"""Figures over HTTP: whose, as of when, in which format."""

import asyncio
import csv
import gc
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from uuid import UUID

import duckdb
import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from reporting import Diary, answering

from activity.analytics import media_of
from activity.figures import Figures, Question
from activity.formats import CSV, JSON, LINES, PARQUET
from activity.metrics import METRICS
from api.problems import Problem
from api.testing import People
from local.fixtures import DatabaseFactory


@dataclass
class World:
    http: httpx.AsyncClient
    diary: Diary
    people: People

    async def get(
        self, path: str, me: UUID, *, analyst: bool = False, accept: str = JSON, **query: Any
    ) -> httpx.Response:
        headers = self.people.headers(me, roles=["analyst"] if analyst else []) | {"accept": accept}
        return await self.http.get(f"/analytics{path}", params=query, headers=headers)

    async def live(self) -> None:
        """Two people, some to-dos, everything built."""
        await self.diary.build()


@pytest.fixture
async def world(database: DatabaseFactory) -> AsyncIterator[World]:
    people = People()
    async with answering(database("activity").url, people) as (diary, http):
        yield World(http, diary, people)


@pytest.fixture
async def me(world: World) -> UUID:
    """Somebody in Seoul with two to-dos on a Sunday evening, one of them done; another made one in New York."""
    me, other = [await world.diary.register("2026-11-01T00:00", zone) for zone in (None, "America/New_York")]
    todo, _ = await world.diary.create(me, "2026-11-22T12:00", "2026-11-22T13:00")
    await world.diary.toggle(me, "2026-11-22T14:00", todo)
    await world.diary.create(other, "2026-11-22T12:00")
    await world.live()
    return me


async def test_everyone_gets_their_own_figures_and_what_they_reflect(world: World, me: UUID) -> None:
    answer = await world.get("/daily", me)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["data"] == [
        {
            "user_id": str(me),
            "day": "2026-11-22",
            "created": 2,
            "completed": 1,
            "reopened": 0,
            "deleted": 0,
            "overdue": 0,
        }
    ]
    assert (told["metric"], told["metric_version"], told["position"]) == ("daily", 1, 6)
    assert datetime.now(UTC) - timedelta(minutes=1) < datetime.fromisoformat(told["reflects"]) < datetime.now(UTC)
    assert answer.headers["x-archive-position"] == "6"
    [hour, later, done] = (await world.get("/pattern", me)).json()["data"]
    assert (hour["weekday"], hour["hour"], later["hour"], done["hour"], done["completed"]) == (7, 21, 22, 23, 1)
    [cohort] = (await world.get("/cohorts", me)).json()["data"]
    assert {name: cohort[name] for name in ("created", "completed_1d", "completed", "median_seconds")} == {
        "created": 2,
        "completed_1d": 1,
        "completed": 1,
        "median_seconds": 7200.0,
    }


async def test_who_has_no_figures_gets_an_empty_list_and_who_is_nobody_none(world: World, me: UUID) -> None:
    assert (await world.get("/daily", UUID(int=7))).json()["data"] == []
    assert (await world.http.get("/analytics/daily")).status_code == 401
    assert (await world.get("/nothing", me)).status_code == 404


async def test_everybodys_figures_are_for_analysts_alone(world: World, me: UUID) -> None:
    assert len((await world.get("/daily", me, analyst=True)).json()["data"]) == 2
    assert len((await world.get("/daily", me, analyst=True, user_id=str(me))).json()["data"]) == 1
    assert (await world.get("/daily", me, user_id=str(UUID(int=7)))).status_code == 403
    assert (await world.get("/active", me)).status_code == 403
    active = (await world.get("/active", me, analyst=True)).json()["data"]
    assert {"period": "day", "first_day": "2026-11-22", "people": 2} in active
    [week] = (await world.get("/retention", me, analyst=True)).json()["data"]
    assert week == {"cohort": "2026-10-26", "weeks_after": 3, "registered": 2, "active": 2}
    assert (await world.get("/active", me, analyst=True, user_id=str(me))).status_code == 403


async def test_metrics_say_what_they_mean(world: World, me: UUID) -> None:
    mine, everything = [(await world.get("", me, analyst=role)).json()["data"] for role in (False, True)]
    assert [metric["name"] for metric in everything] == list(METRICS)
    assert [metric["name"] for metric in mine] == ["daily", "pattern", "cohorts"]
    assert all(column["meaning"] for metric in everything for column in metric["columns"])


async def test_the_same_question_as_of_the_same_has_the_same_bytes_whatever_comes_after(world: World, me: UUID) -> None:
    moment = datetime.now(UTC).isoformat()
    formats = (JSON, CSV, LINES, PARQUET)
    before = [
        (await world.get("/daily", me, accept=media, as_of=as_of)).content for media in formats for as_of in (5, moment)
    ]
    await world.diary.create(me, "2026-11-22T12:00")
    await world.diary.move(me, "2026-11-02T00:00", "America/New_York")
    await world.live()
    after = [
        (await world.get("/daily", me, accept=media, as_of=as_of)).content for media in formats for as_of in (5, moment)
    ]
    assert before == after
    assert (await world.get("/daily", me, as_of=5)).json()["data"] != (await world.get("/daily", me)).json()["data"]


async def test_what_is_heard_after_a_moment_that_was_asked_about_is_later_also_for_a_slow_clock(
    world: World, me: UUID
) -> None:
    moment = datetime.now(UTC)
    first = (await world.get("/daily", me, as_of=moment.isoformat())).content
    world.diary.clock = lambda: moment - timedelta(seconds=5)
    await world.diary.create(me, "2026-11-22T12:00")
    await world.live()
    assert (await world.get("/daily", me, as_of=moment.isoformat())).content == first


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"as_of": "yesterday"}, "as_of"),
        ({"as_of": "2026-11-22T12:00:00"}, "as_of"),
        ({"as_of": "99"}, "as_of"),
        ({"as_of": "9999-01-01T00:00:00Z"}, "as_of"),
        ({"limit": "1"}, "limit"),
        ({"limit": "0"}, "limit"),
        ({"since": "monday"}, "since"),
        ({"user_id": "me"}, "user_id"),
    ],
)
async def test_a_question_without_an_answer_says_which_part_is_wrong(
    world: World, me: UUID, query: dict[str, str], field: str
) -> None:
    answer = await world.get("/daily", me, analyst=True, **query)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_days_narrow_what_has_days(world: World, me: UUID) -> None:
    assert (await world.get("/daily", me, since="2026-11-23")).json()["data"] == []
    assert len((await world.get("/daily", me, since="2026-11-22", until="2026-11-22")).json()["data"]) == 1
    assert (await world.get("/pattern", me, since="2026-11-23")).status_code == 422


async def test_figures_that_are_not_built_yet_are_asked_for_again(world: World, me: UUID) -> None:
    await world.diary.create(me, "2026-11-22T12:00")
    answer = await world.get("/daily", me, as_of=7)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    await world.live()
    assert (await world.get("/daily", me, as_of=7)).status_code == 200


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/html, text/csv;q=0.5", CSV),
        ("application/x-ndjson", LINES),
        (PARQUET, PARQUET),
    ],
)
def test_accept_chooses_the_format(accept: str, media: str) -> None:
    assert media_of(accept) == media


def test_a_format_that_is_not_there_is_refused() -> None:
    with pytest.raises(Problem, match="not_acceptable"):
        media_of("application/xml")


async def test_each_format_holds_the_same_rows(world: World, me: UUID, tmp_path: Path) -> None:
    names = ("user_id", "day", "created", "completed", "reopened", "deleted", "overdue")
    rows = (await world.get("/daily", me)).json()["data"]
    lines = (await world.get("/daily", me, accept=LINES)).text
    assert [json.loads(line) for line in lines.splitlines()] == rows
    table = list(csv.DictReader(io.StringIO((await world.get("/daily", me, accept=CSV)).text)))
    assert [{name: str(row[name]) for name in names} for row in rows] == table
    file = tmp_path / "daily.parquet"
    file.write_bytes((await world.get("/daily", me, accept=PARQUET)).content)
    arrow = pyarrow.parquet.read_table(file)
    assert arrow.schema.field("day").type == pa.date32()
    assert arrow.schema.field("created").type == pa.int32()
    assert arrow.schema.metadata[b"position"] == b"6"
    assert [row | {"day": str(row["day"])} for row in arrow.to_pylist()] == rows
    frame = pd.read_parquet(file)
    assert (frame["day"][0], frame["created"].dtype) == (date(2026, 11, 22), "int32")
    asked = duckdb.sql(f"select typeof(day), typeof(created), typeof(user_id), created from '{file}'").fetchall()
    assert asked == [("DATE", "INTEGER", "VARCHAR", 2)]


async def test_a_file_that_cannot_be_written_leaves_nothing_open(
    world: World, me: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no more")

    monkeypatch.setattr("activity.formats.ArrowWriter.write", fail)
    assert (await world.get("/daily", me, accept=PARQUET)).status_code == 500
    gc.collect()


async def test_a_question_that_is_given_up_in_the_end_leaves_nothing_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up where the answer is whole and its transaction is not over."""
    await world.live()
    opened: list[IO[bytes]] = []

    def spooled(**options: Any) -> IO[bytes]:
        opened.append(SpooledTemporaryFile(**options))  # noqa: SIM115 - who asked closes it
        return opened[-1]

    write = Figures._write

    async def given_up(*parts: Any, **options: Any) -> Any:
        told = await write(*parts, **options)
        asking.cancel()
        return told

    monkeypatch.setattr("activity.figures.SpooledTemporaryFile", spooled)
    monkeypatch.setattr(Figures, "_write", given_up)
    question = Question(metric=METRICS["daily"])
    asking = asyncio.create_task(Figures(world.diary.pool).write(question, None, CSV, {}))
    await asyncio.wait([asking], timeout=10)
    assert asking.cancelled()
    assert [file.closed for file in opened] == [True]


async def test_no_rows_are_still_a_file(world: World, me: UUID, tmp_path: Path) -> None:
    for media in (CSV, PARQUET, LINES):
        answer = await world.get("/daily", UUID(int=7), accept=media)
        assert answer.status_code == 200
    file = tmp_path / "empty.parquet"
    file.write_bytes((await world.get("/daily", UUID(int=7), accept=PARQUET)).content)
    assert pyarrow.parquet.read_table(file).num_rows == 0
