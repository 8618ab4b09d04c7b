"""A million rows of figures as Parquet, and what the service's process holds meanwhile."""

import asyncio
from pathlib import Path
from time import perf_counter
from typing import Final

import httpx
import pyarrow.parquet
from msgspec import Struct

from bench.counts import SQL, Unsound
from bench.stack import Stack
from events.ids import uuid7

PEOPLE, DAYS = 40_000, 25
_TARGET: Final = f"/analytics/daily?since=2027-01-01&until=2027-01-{DAYS}&limit={PEOPLE * DAYS}"
_LOOK: Final = 0.02


class Export(Struct, frozen=True):
    """Rows, seconds, bytes of the file; resident bytes of the process before, and at most meanwhile."""

    rows: int
    seconds: float
    size: int
    before: int
    most: int


async def export(stack: Stack, folder: Path) -> Export:
    """Fill up figures, then take them away; raises `Unsound` unless every row is there."""
    owner = await stack.connect("activity")
    await owner.execute("set statement_timeout = 0; set transaction_timeout = 0")
    await owner.execute(SQL.fill_daily, PEOPLE, DAYS, timeout=600)
    await owner.execute("vacuum analyze projections.action", timeout=600)
    await owner.close()
    headers = {"authorization": f"Bearer {stack.token(uuid7(), 'analyst')}", "accept": "application/vnd.apache.parquet"}
    async with httpx.AsyncClient(base_url=stack.activity, headers=headers, timeout=180) as http:
        (await http.get("/analytics/active")).raise_for_status()  # what the first answer loads stays
        before, most = stack.memory("activity"), [0]
        watching = asyncio.create_task(_watch(stack, most))
        started = perf_counter()
        with (folder / "daily.parquet").open("wb") as file:
            async with http.stream("GET", _TARGET) as answer:
                answer.raise_for_status()
                async for piece in answer.aiter_bytes():
                    file.write(piece)
        seconds = perf_counter() - started
        watching.cancel()
    parquet = pyarrow.parquet.ParquetFile(folder / "daily.parquet")
    if parquet.metadata.num_rows != PEOPLE * DAYS:
        raise Unsound(f"{parquet.metadata.num_rows:,} of {PEOPLE * DAYS:,} rows were exported")
    return Export(parquet.metadata.num_rows, seconds, (folder / "daily.parquet").stat().st_size, before, max(most))


async def _watch(stack: Stack, most: list[int]) -> None:
    while True:
        most[0] = max(most[0], stack.memory("activity"))
        await asyncio.sleep(_LOOK)
