"""The whole service as it is deployed: both roles in one process, over PostgreSQL and NATS."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import httpx
import nats as nats_client
from nats.js import JetStreamContext
from signing import environment, opened

from events import streams
from events.catalog.feeds import feeds_of
from local.fixtures import DatabaseFactory, until
from local.nats import Nats


async def test_what_happened_is_in_the_streams_under_its_numbers(
    database: DatabaseFactory, nats: Nats, free_port: Callable[[], int]
) -> None:
    made = database("auth")
    async with connected(nats) as js, process(made.url, nats.url("auth"), free_port()) as http:
        await until(lambda: ready(http))
        asked = (await http.post("/users/request-otp", json={"email": "ada@example.test"})).json()["data"]
        answer = {name: asked[name] for name in ("email", "challenge_id", "otp_code")}
        assert (await http.post("/users/verify-otp", json=answer)).is_success
        await until(lambda: holds(js, "AUTH", 3))

        [letter] = [await js.get_msg("OTP", 1)]
        assert (letter.headers or {})["ce-subject"] == asked["challenge_id"]
        sealed = (letter.data or b"").decode().partition('"sealed":"')[2].partition('"')[0]
        assert opened(sealed).code == asked["otp_code"]
        said = [(await js.get_msg("AUTH", seq)).headers or {} for seq in (1, 2, 3)]
        assert [headers["ce-type"].split(".")[1] for headers in said] == [
            "OtpVerified",
            "UserRegistered",
            "UserSignedIn",
        ]
        await same_ids(made.url, said)


async def same_ids(url: str, said: list[dict[str, str]]) -> None:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("select id from events.log where feed = 'AUTH' order by seq")
    await connection.close()
    assert [headers["ce-id"] for headers in said] == [str(row["id"]) for row in rows]


async def ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz/ready")).is_success
    except httpx.TransportError:
        return False


async def holds(js: JetStreamContext, stream: str, messages: int) -> bool:
    return (await js.stream_info(stream)).state.messages == messages


@asynccontextmanager
async def connected(nats: Nats) -> AsyncIterator[JetStreamContext]:
    """An administrator's JetStream with auth's streams."""
    client = await nats_client.connect(nats.url())
    js = client.jetstream(timeout=2)
    for feed in feeds_of("auth"):
        await streams.apply(js, feed, first_seq=1)
    try:
        yield js
    finally:
        await client.close()


@asynccontextmanager
async def process(url: str, nats_url: str, port: int) -> AsyncIterator[httpx.AsyncClient]:
    """`python -m auth` until SIGTERM, which it obeys without complaint."""
    values = environment(APP_ENV="development", DATABASE_URL=url, NATS_URL=nats_url, PORT=str(port))
    running = await asyncio.create_subprocess_exec(sys.executable, "-m", "auth", env=os.environ | values)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            yield http
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
