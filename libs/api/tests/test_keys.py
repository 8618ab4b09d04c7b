"""The published keys stay at hand: fetched when needed, served while auth is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import get

from api import keys
from api.answers import Answer
from api.app import create_app
from api.keys import Jwks
from api.problems import Problem
from api.server import listen, serve
from events.health import Health
from local.fixtures import until


class Auth:
    """A stand-in that publishes keys on a fixed port and can be away."""

    def __init__(self) -> None:
        self.kids: list[str] = ["one"]
        self.fetches = 0
        self._key = Ed25519PrivateKey.generate().public_key()
        with listen("127.0.0.1", 0) as found:
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/jwks"

    @asynccontextmanager
    async def present(self) -> AsyncIterator[None]:
        @get("/jwks", sync_to_thread=False)
        def jwks() -> Answer[bytes]:
            self.fetches += 1
            published = [
                {**jwt.algorithms.OKPAlgorithm.to_jwk(self._key, as_dict=True), "kid": kid} for kid in self.kids
            ]
            return Answer(msgspec.json.encode({"keys": published}))

        app = create_app(title="Auth", routes=[jwks], health=Health())
        server = asyncio.create_task(serve(app, listen("127.0.0.1", self.port), drain=1))
        try:
            yield
        finally:
            server.cancel()
            await asyncio.wait([server])


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between two fetches."""
    monkeypatch.setattr(keys, "_PAUSE", 0.0)


async def test_all_who_wait_for_keys_go_on_together() -> None:
    """After a restart hundreds wait; one in each turn of the loop would keep the last one for seconds."""
    auth = Auth()
    turns, woken = 0, list[int]()

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with auth.present(), Jwks(auth.url) as jwks:

        async def wait() -> None:
            assert await jwks.find("one") is not None
            woken.append(turns)

        counting = asyncio.create_task(count())
        await asyncio.gather(*(wait() for _ in range(100)))
        counting.cancel()
    assert auth.fetches == 1
    assert max(woken) - min(woken) <= 2


async def test_keys_are_not_asked_for_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    auth = Auth()
    async with auth.present(), Jwks(auth.url) as jwks:
        assert await jwks.find("one")


async def test_a_key_is_fetched_once_for_all_who_wait() -> None:
    auth = Auth()
    async with auth.present(), Jwks(auth.url) as jwks:
        found = await asyncio.gather(*(jwks.find("one") for _ in range(50)))
    assert all(found)
    assert auth.fetches == 1


async def test_unknown_key_ids_cannot_make_us_fetch_without_end() -> None:
    auth = Auth()
    async with auth.present(), Jwks(auth.url) as jwks:
        assert [await jwks.find(f"forged-{nr}") for nr in range(50)] == [None] * 50
    assert auth.fetches == 1


@pytest.mark.usefixtures("at_once")
async def test_a_new_key_is_found_without_a_restart() -> None:
    auth = Auth()
    async with auth.present(), Jwks(auth.url) as jwks:
        assert await jwks.find("one")
        auth.kids = ["one", "two"]
        assert await jwks.find("two")


@pytest.mark.usefixtures("at_once")
async def test_known_keys_serve_while_auth_is_away_and_unknown_ones_cannot_be_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auth = Auth()
    async with Jwks(auth.url) as jwks:
        with pytest.raises(Problem) as away:
            await jwks.find("one")
        assert (away.value.kind.status, "retry-after" in away.value.headers) == (503, True)
        async with auth.present():
            assert await jwks.find("one")
        monkeypatch.setattr(keys, "_FRESH", 0.0)
        assert await jwks.find("one"), "stale keys must serve"
        with pytest.raises(Problem):
            await jwks.find("two")


@pytest.mark.usefixtures("at_once")
async def test_a_withdrawn_key_is_forgotten_when_the_known_ones_are_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = Auth()
    async with auth.present(), Jwks(auth.url) as jwks:
        assert await jwks.find("one")
        auth.kids = ["two"]
        assert await jwks.find("one"), "fresh keys are not fetched again"
        assert auth.fetches == 1
        monkeypatch.setattr(keys, "_FRESH", 0.0)

        assert await jwks.find("one"), "who notices does not wait"
        await until(lambda: auth.fetches == 2 and "one" not in jwks._keys, within=5)
        assert await jwks.find("one") is None


async def test_who_brings_a_known_key_never_waits_for_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = Auth()
    async with Jwks(auth.url) as jwks:
        async with auth.present():
            assert await jwks.find("one")
        monkeypatch.setattr(keys, "_FRESH", 0.0)
        monkeypatch.setattr(keys, "_PAUSE", 0.0)
        with listen("127.0.0.1", auth.port):  # takes connections and answers none
            async with asyncio.timeout(keys._TIMEOUT / 4):
                assert all([await jwks.find("one") for _ in range(20)])
