"""`python -m activity report`: one page that needs nothing else, tells figures and nobody, and stays as it was told."""

import base64
import hashlib
import json
import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from history import ANN, BOB, CY, create, live
from reporting import Diary, at, keeping

from activity.charts import CHARTS
from activity.commands import obey
from activity.overview import Overview, overview, page_of
from events.postgres import open_pool
from local.cluster import Cluster
from local.fixtures import Database, DatabaseFactory

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def activity(database: DatabaseFactory) -> Database:
    return database("activity")


@pytest.fixture
async def empty(activity: Database) -> AsyncIterator[Diary]:
    async with keeping(activity.url) as kept:
        yield kept


@pytest.fixture
async def diary(empty: Diary) -> Diary:
    await live(empty)
    return empty


async def page(diary: Diary, as_of: int | datetime | None = None) -> str:
    return page_of(await overview(diary.pool, as_of, NOW, 92))


def specs(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="specs">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def rows(text: str, chart: str) -> list[dict[str, Any]]:
    return [row for data in specs(text)[chart]["datasets"].values() for row in data]


async def test_the_page_needs_nothing_else_and_may_ask_nobody(diary: Diary) -> None:
    text = await page(diary)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    outside = text.replace(scripts[0], "")
    assert not re.search(r"https?:|//[a-z]|\b(src|href|srcset|action)\s*=|@import|url\(", outside)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    sha256 = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy[1].split("; ")[:2] == ["default-src 'none'", f"script-src 'sha256-{sha256}'"]
    assert len(text) < 1_200_000


async def test_every_chart_has_its_figures_and_says_what_they_are(diary: Diary) -> None:
    text = await page(diary)
    assert list(specs(text)) == [chart.name for chart in CHARTS]
    assert {"day": "2025-11-03", "what": "created", "count": 3} in rows(text, "daily")
    assert {"day": "2025-11-05", "what": "created", "count": 0} in rows(text, "daily"), "no row is zero"
    week = {"period": "week", "first_day": "2025-11-03", "until": "2025-11-10", "people": 2, "what": "week"}
    assert week in rows(text, "active")
    assert {"weekday": "Mon", "hour": 10, "actions": 3} in rows(text, "pattern")
    assert len(rows(text, "pattern")) == 7 * 24
    assert {"week": "2025-11-03", "what": "7 days", "percent": 60.0, "created": 5} in rows(text, "cohorts")
    assert {"cohort": "2025-11-03 (2)", "weeks_after": 0, "active": 2, "percent": 100.0} in rows(text, "retention")
    assert {"step": "verified", "codes": 3, "share": "3 (75 %)"} in rows(text, "funnel")
    assert {row["seconds"] for row in rows(text, "mail_time")} == {0.8, 1.2, 3.1, 0.9}
    assert {"message": "push: completion", "what": "failed", "count": 1, "order": 1} in rows(text, "messages")
    assert max(row["seconds"] for row in rows(text, "waits")) == 95
    for chart in CHARTS:
        assert f">{chart.title}</h2>" in text
        assert chart.about in text


async def test_what_is_not_over_is_in_no_rate(diary: Diary) -> None:
    text = await page(diary)
    assert {(row["week"], row["what"]): row["percent"] for row in rows(text, "cohorts")} == {
        ("2025-11-03", "1 day"): 40,
        ("2025-11-03", "7 days"): 60,
        ("2025-11-10", "1 day"): 0,
    }, "on the 18th the 7 days of the 11th have an hour to go, somewhere"
    assert {(row["cohort"], row["weeks_after"]) for row in rows(text, "retention")} == {
        ("2025-11-03 (2)", 0),
        ("2025-11-03 (2)", 1),
        ("2025-11-10 (1)", 0),
    }


async def test_it_says_what_it_reflects(diary: Diary) -> None:
    text = await page(diary)
    assert "position <b>37</b> of the archive" in text
    assert "<time>2025-11-18T09:00:00+00:00</time>" in text
    versions = "actions version 1, hearing version 1, messages version 1, sign_ins version 1."
    assert re.sub(r"\s+", " ", text).count(versions) == 1


async def test_the_same_as_of_makes_the_same_bytes(diary: Diary) -> None:
    first = await page(diary, 30)
    of_a_moment = await page(diary, at("2025-11-14T12:00"))
    now = await page(diary)
    assert now == await page(diary, 37), "now is the position that there is"
    await create(diary, ANN, "2025-11-20T00:00")
    await diary.build()
    assert await page(diary) != now
    assert await page(diary, 37) == now
    assert await page(diary, 30) == first != now
    assert await page(diary, at("2025-11-14T12:00")) == of_a_moment


async def test_nobody_is_on_it(diary: Diary) -> None:
    text = (await page(diary)).lower()
    assert [person for person in (ANN, BOB, CY) if str(person) in text or person.hex in text] == []
    assert "user_id" not in text


async def test_where_nothing_was_heard_it_says_so_instead_of_empty_charts(empty: Diary) -> None:
    text = await page(empty)
    assert text.count("Nothing to show yet.") == len(CHARTS)
    assert "Nothing was heard yet" in text
    assert specs(text) == {}
    await empty.build()
    assert await page(empty) == await page(empty, 0)


async def test_an_analyst_may_make_it(activity: Database, postgres: Cluster, diary: Diary) -> None:
    async with await open_pool(postgres.url(activity.name, "analyst"), application="test") as pool:
        assert page_of(await overview(pool, None, NOW, 92)) == await page(diary)


def test_words_from_outside_stay_words() -> None:
    evil = "</script><script>alert(1)</script><!--\u2028&"
    day = date(2025, 11, 3)
    row = {"channel": "push", "kind": evil, "sent": 1, "failed": 0, "expired": 0, "unknown": 0}
    told = Overview(position=1, reflects=NOW, versions={evil: 1}, since=day, days=1, rows={"messages": [row]})
    text = page_of(told)
    assert rows(text, "messages")[0]["message"] == f"push: {evil}"
    assert text.count("<script") == text.count("</script") == 2
    assert "<!--" not in text.partition("<body>")[2].partition("<script>")[0]
    assert "\u2028" not in text.partition("<script")[2].partition("<script>")[0]


async def test_the_command_writes_a_file(diary: Diary, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.html"
    assert await obey(diary.pool, ["report", "--out", str(file), "--as-of", "30"]) == 0
    assert capsys.readouterr().out == f"{file}: figures as of 30\n"
    assert file.read_text() == await page(diary, 30)
    assert await obey(diary.pool, ["report", "--out", str(tmp_path / "no" / "folder.html")]) == 1


@pytest.mark.parametrize(
    ("as_of", "said"),
    [("38", "figures have only come to 37 yet\n"), ("2100-01-01T00:00Z", "--as-of lies in the future\n")],
)
async def test_what_is_not_there_yet_is_not_drawn(
    diary: Diary, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_of: str, said: str
) -> None:
    file = tmp_path / "figures.html"
    assert await obey(diary.pool, ["report", "--out", str(file), "--as-of", as_of]) == 1
    assert capsys.readouterr().err == said
    assert not file.exists()


async def test_what_it_draws_with_may_be_missing(
    empty: Diary, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "activity.overview")
    monkeypatch.delitem(sys.modules, "activity.charts")
    monkeypatch.delitem(sys.modules, "activity.drawing")
    monkeypatch.setitem(sys.modules, "altair", None)
    assert await obey(empty.pool, ["report"]) == 1
    assert capsys.readouterr().err == "altair is missing: pip install 'todo-activity[report]'\n"
