"""The page of `python -m activity report` in a real browser that reaches no network.

`PICTURES=folder EVENTS=12000 pytest services/activity/tests/test_overview_drawn.py -k every` also takes pictures of a
simulated month, narrow and wide, light and dark; docs/report.png is the wide light one.
"""

import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bench.month import events_of, month
from browser import Tab, browsing
from reporting import keeping

from activity.charts import CHARTS
from activity.overview import Overview, overview, page_of
from local.fixtures import DatabaseFactory, until
from local.pictures import find_browser

CHROMIUM = find_browser() or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium (install the package `chromium`)")
EVENTS = int(os.environ.get("EVENTS", "600"))
MARKS = 'document.querySelectorAll("#{} svg .mark-line path, #{} svg [class*=mark-] [aria-roledescription]").length'
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
async def told(database: DatabaseFactory) -> Overview:
    """A simulated month, heard as it happened."""
    happened = month(1, EVENTS)
    async with keeping(database("activity").url) as diary:
        for begin in range(0, EVENTS, 500):
            part = happened[begin : begin + 500]
            at = EPOCH + timedelta(microseconds=max(each.moment for each in part))
            diary.clock = lambda at=at: at
            await diary.take(list(events_of(part)))
        await diary.build()
        return await overview(diary.pool, None, datetime.now(UTC), 92)


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browsing(CHROMIUM) as opened:
        yield opened


async def drawn(tab: Tab, file: Path, *, charts: int = len(CHARTS)) -> None:
    """Open the page, and wait until so many charts are there."""
    await tab.open(file)
    await until(lambda: tab.tell(f"document.documentElement.dataset.drawn === '{charts}'"), within=30)


async def words(tab: Tab) -> Any:
    return await tab.tell('[...document.querySelectorAll("svg text")].map((each) => each.textContent)')


async def test_every_chart_is_drawn_without_a_network(told: Overview, tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of(told))
    for width in (360, 1280):
        for theme in ("light", "dark"):
            await tab.show(width=width, theme=theme)
            await drawn(tab, file)
            assert await too_wide(tab) == [], f"at {width}"
            if folder := os.environ.get("PICTURES"):
                await tab.picture(Path(folder) / f"{width}-{theme}.png")
    marks = {chart.name: await tab.tell(MARKS.format(chart.name, chart.name)) for chart in CHARTS}
    assert {name: count for name, count in marks.items() if count < 2} == {}
    assert tab.complaints == []
    assert set(tab.asked) == {file.as_uri()}


async def too_wide(tab: Tab) -> Any:
    """What is wider than its place: nobody has to scroll sideways."""
    return await tab.tell(
        '[...document.querySelectorAll("html, section, .chart")]'
        ".filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.id || each.tagName)"
    )


async def test_a_day_is_the_same_day_wherever_the_page_is_read(told: Overview, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of(told))
    read = []
    for zone in ("Pacific/Auckland", "America/Los_Angeles"):
        async with browsing(CHROMIUM, {"TZ": zone}) as tab:
            await drawn(tab, file)
            assert await tab.tell("Intl.DateTimeFormat().resolvedOptions().timeZone") == zone
            read.append(await words(tab))
    assert read[0] == read[1]
    assert any(re.fullmatch(r"\d\d Mar 26", word) for word in read[0])


async def test_who_changes_to_the_dark_sees_the_charts_change(told: Overview, tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of(told))
    await tab.show(width=1280, theme="light")
    await drawn(tab, file)
    ink = 'document.querySelector("#daily svg .role-legend-label text").getAttribute("fill")'
    light = await tab.tell(ink)
    await tab.show(width=1280, theme="dark")
    await until(lambda: differs(tab, ink, light))


async def differs(tab: Tab, expression: str, value: str) -> bool:
    return bool(await tab.tell(f"document.querySelector('#daily svg') && {expression} !== {value!r}"))


async def test_words_from_outside_run_nowhere(tab: Tab, tmp_path: Path) -> None:
    evil = "</script><img src=x onerror='document.title=`run`'>"
    row = {"channel": "push", "kind": evil, "sent": 9, "failed": 0, "expired": 0, "unknown": 0}
    file = tmp_path / "report.html"
    told = Overview(
        position=1, reflects=EPOCH, versions={evil: 1}, since=date(1970, 1, 1), days=1, rows={"messages": [row]}
    )
    file.write_text(page_of(told))
    await drawn(tab, file, charts=1)
    bar = 'document.querySelector("#messages svg [aria-roledescription=bar]")'
    await tab.tell(f"{bar}.scrollIntoView()")
    place = await tab.tell(f"(({{x, y, width}}) => [x + width / 2, y + 5])({bar}.getBoundingClientRect())")
    await tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    await until(lambda: tab.tell('document.querySelector("#vg-tooltip-element.visible")?.textContent.includes("img")'))
    assert await tab.tell("document.title") == "Figures as of 1"
    assert await tab.tell('document.querySelectorAll("img").length') == 0
    assert tab.asked == [file.as_uri()]
