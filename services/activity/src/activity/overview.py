"""The figures of everybody on one page: an HTML file that needs nothing else, neither a server nor a network.

The same figures make the same bytes: no time of writing is in it. Needs the extra `report` (Altair, Jinja, vl-convert).
"""

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from time import monotonic
from typing import Any, Final

import altair as alt
import asyncpg
import msgspec
import vl_convert
from jinja2 import Environment, StrictUndefined
from msgspec import Struct

from activity.charts import CHARTS, spec_of
from activity.drawing import Row
from activity.figures import PATIENCE, AsOf, Figures, NotYet
from activity.tables import SQL
from events.postgres import Connection

_POLL: Final = 0.05
_ESCAPED: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class Overview(Struct, frozen=True, kw_only=True):
    """Figures as of a position, which was there at a moment; `rows` by query, of days from `since` on."""

    position: int
    reflects: datetime | None
    versions: Mapping[str, int]
    since: date | None
    days: int
    rows: Mapping[str, Sequence[Row]]


async def overview(pool: asyncpg.Pool, as_of: AsOf, now: datetime, days: int) -> Overview:
    """The figures of so many days until a position or a moment; raises figures' `Beyond`, and `NotYet`."""
    position = await Figures(pool).position_of(as_of, now)
    deadline = monotonic() + PATIENCE
    while True:
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            reached = await _reached(connection)
            if position is None or position <= reached:
                return await _told(connection, reached if position is None else position, days)
        if monotonic() > deadline:
            raise NotYet(reached)
        await asyncio.sleep(_POLL)


async def _reached(connection: Connection) -> int:
    """The latest position that all figures have reached."""
    return min((row["position"] for row in await connection.fetch(SQL.overview_reflected)), default=0)


async def _told(connection: Connection, position: int, days: int) -> Overview:
    """What there is as of a position that all figures have reached."""
    await connection.execute(SQL.as_of, str(position))
    reflected = await connection.fetch(SQL.overview_reflected)
    reflects = next((row["reflects"] for row in reflected), None)
    if reflects is None:
        since, rows = None, {}
    else:
        today = reflects.astimezone(UTC).date()
        since = today - timedelta(days=days)
        rows = {query: await _rows(connection, query, since, today) for query in {chart.query for chart in CHARTS}}
    versions = {row["projection"]: row["metric_version"] for row in reflected}
    return Overview(position=position, reflects=reflects, versions=versions, since=since, days=days, rows=rows)


async def _rows(connection: Connection, query: str, since: date, today: date) -> list[Row]:
    statement = await connection.prepare(getattr(SQL, f"overview_{query}"))
    wanted = (since, today)[: len(statement.get_parameters())]
    return [dict(row) for row in await statement.fetch(*wanted)]


def page_of(told: Overview) -> str:
    """The page: charts that have anything to show, and a word where there is nothing."""
    today = told.reflects.astimezone(UTC).date() if told.reflects else date.min
    specs = {chart.name: spec_of(chart, told.rows.get(chart.query, ()), today) for chart in CHARTS}
    script = _script()
    page: str = _template().render(
        told=told,
        reflects=told.reflects.astimezone(UTC).isoformat(timespec="seconds") if told.reflects else None,
        charts=[(chart, specs[chart.name] is not None) for chart in CHARTS],
        # Written as they are: the style is ours, the scripts and the data hold no `<` that ends them.
        style=_asset("overview.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        specs=_inert({name: spec for name, spec in specs.items() if spec}),
    )
    return page


@cache
def _script() -> str:
    """What draws, with Vega, Vega-Lite and Vega-Embed; raises `ValueError` where it could end its own element."""
    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    script: str = vl_convert.javascript_bundle(_asset("overview.js"), vl_version=version)
    if "</script" in script.lower():
        raise ValueError("the charts' library cannot stand in a page")
    return script


def _inert(data: Any) -> str:
    """JSON that says the same and ends no element, whatever is in it."""
    text = msgspec.json.encode(data).decode()
    for mark, escaped in _ESCAPED.items():
        text = text.replace(mark, escaped)
    return text


def _asset(name: str) -> str:
    return (files("activity") / name).read_text()


def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("overview.html"))
