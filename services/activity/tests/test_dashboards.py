"""deploy/dashboards: every query of theirs is one that an analyst may ask, and that has an answer."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import msgspec
import pytest
from history import live
from reporting import keeping

from local.cluster import Cluster
from local.fixtures import DatabaseFactory
from local.layout import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "dashboards"
RANGE = r"\1 between '2025-10-19T00:00:00.000Z' and '2025-11-18T09:00:00.000Z'"


def queries() -> Iterator[Any]:
    for file in sorted(FOLDER.glob("*.json")):
        for panel in msgspec.json.decode(file.read_bytes())["panels"]:
            for target in panel.get("targets", []):
                if "rawSql" in target:
                    name = f"{file.stem} - {panel['title']} {target['refId']}"
                    yield pytest.param(target["rawSql"], target["format"], id=name)


@pytest.fixture
async def analyst(database: DatabaseFactory, postgres: Cluster) -> AsyncIterator[asyncpg.Connection]:
    activity = database("activity")
    async with keeping(activity.url) as diary:
        await live(diary)
    connection = await asyncpg.connect(postgres.url(activity.name, "analyst"))
    yield connection
    await connection.close()


async def test_every_query_is_answered_to_an_analyst(analyst: asyncpg.Connection) -> None:
    asked = [each.values for each in queries()]
    assert len(asked) > 15
    for text, form in asked:
        query = re.sub(r"\$__timeFilter\((\w+)\)", RANGE, text)
        assert "$" not in query, "a macro that this test does not know"
        statement = await analyst.prepare(query)
        rows = await statement.fetch()
        assert rows, query
        assert any(value is not None for row in rows for value in list(row)[1:] or list(row)), query
        if form == "time_series":
            first, *others = statement.get_attributes()
            assert first.name == "time", query
            assert first.type.name in {"timestamp", "timestamptz"}, query
            assert [row["time"] for row in rows] == sorted(row["time"] for row in rows), query
            assert {each.type.name for each in others if each.name != "metric"} <= {"int4", "int8", "numeric"}, query


async def test_what_a_dashboard_shows_is_what_the_views_tell(analyst: asyncpg.Connection) -> None:
    told = {each.id: each.values[0] for each in queries()}
    rate = re.sub(r"\$__timeFilter\((\w+)\)", RANGE, told["product - Completed in time A"])
    assert [(row["1 day"], row["7 days"], row["30 days"]) for row in await analyst.fetch(rate)] == [
        (40, 60, None),
        (0, None, None),
        (None, None, None),
    ], "what is not over is in no rate"
    back = re.sub(r"\$__timeFilter\((\w+)\)", RANGE, told["product - Who comes back A"])
    assert [list(row.values())[:5] for row in await analyst.fetch(back)] == [
        ["2025-11-03", 2, 100, 50, None],
        ["2025-11-10", 1, 100, None, None],
    ]
