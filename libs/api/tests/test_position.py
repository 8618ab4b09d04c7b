"""Read your writes: a read waits until its projection has heard what was asked for."""

from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import get
from litestar.di import NamedDependency

from api import position
from api.answers import Answer, Envelope, answer
from api.app import create_app
from api.messages import Message
from api.position import wait_for_position
from api.requests import Request
from api.testing import serving
from events.health import Health

SEEN = Message(key="seen", en="Seen", ko="봤습니다")


class Projection:
    """Hears one more event each time somebody looks."""

    def __init__(self) -> None:
        self.here = 0
        self.heard_until = 5
        self.last: int | None = 5

    async def position_of(self, feed: str) -> tuple[int, int | None]:
        if feed != "TODOS":
            raise KeyError(feed)
        self.here = min(self.here + 1, self.heard_until)
        return self.here, self.last


@get("/seen")
async def seen(request: Request, projection: NamedDependency[Projection]) -> Answer[Envelope[int]]:
    await wait_for_position(request, projection.position_of)
    return answer(request, SEEN, projection.here)


@pytest.fixture
def projection() -> Projection:
    return Projection()


@pytest.fixture
async def client(projection: Projection, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(position, "_PATIENCE", 0.3)
    app = create_app(title="x", routes=[seen], health=Health(), parts={"projection": projection})
    async with serving(app) as client:
        yield client


async def ask(client: httpx.AsyncClient, wanted: str) -> httpx.Response:
    return await client.get("/seen", headers={"x-min-position": wanted})


async def test_a_read_waits_for_its_position(client: httpx.AsyncClient) -> None:
    assert (await client.get("/seen")).json()["data"] == 0, "nobody asked, nobody waits"
    assert (await ask(client, "TODOS:3")).json()["data"] == 3


async def test_a_late_projection_says_so(client: httpx.AsyncClient, projection: Projection) -> None:
    projection.heard_until = 2
    answer = await ask(client, "TODOS:5")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    "wanted", ["TODOS:6", "TODOS", "TODOS:x", "TODOS:-1", "todos:1", "AUTH:1", "TODOS:" + "9" * 40, ""]
)
async def test_a_position_that_cannot_be_is_malformed(client: httpx.AsyncClient, wanted: str) -> None:
    answer = await ask(client, wanted)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_where_the_last_number_is_unknown_nothing_lies_beyond(
    client: httpx.AsyncClient, projection: Projection
) -> None:
    projection.last = None
    assert (await ask(client, "TODOS:6")).status_code == 503
