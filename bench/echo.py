"""The API role of `todos` with one route more, which answers what it was sent: the measure for POST /todos.

Both routes share the process, edge, guard, decoding, envelope and headers; deciding and appending is what the echo
leaves out. Nothing hears what is appended here.
"""

import gc
from functools import partial
from typing import Final

from litestar.params import JSONBody

from api.answers import Answer, Envelope, answer
from api.app import create_app
from api.guard import Guard, signed_in
from api.keys import Jwks
from api.messages import Message
from api.requests import Request
from api.routes import post
from api.server import listen, serve
from events.batcher import Batcher
from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.clock import system_clock
from events.health import Health
from events.ids import uuid7
from events.outlet import Outlet
from events.postgres import dialer, open_pool
from events.process import Roles, run, start
from events.settings import read
from events.telemetry import configure_logging
from todos.api import ROUTES
from todos.settings import Settings
from todos.shapes import NewTodo
from todos.tables import get_todos
from todos.writing import Quota, Todos

ECHOED: Final = Message(key="echo", en="Echoed successfully", ko="되돌려 보냈습니다")


@post("/echo", guards=[signed_in])
async def echo(request: Request, data: JSONBody[NewTodo]) -> Answer[Envelope[NewTodo]]:
    """Answer as for a to-do that was made, with nothing made."""
    return answer(request, ECHOED, data, status=201, version=1, location=f"/todos/{uuid7()}").at("TODOS", 1)


async def _main(settings: Settings) -> None:
    configure_logging("echo", settings.log_level)
    health = Health()
    dial = dialer(settings.database_url, application="echo")
    outlet = Outlet(FEEDS["TODOS"], dial, Broker(settings.nats, name="echo"), Roles(worker=False))
    async with await open_pool(settings.database_url, application="echo") as pool, Jwks(settings.jwks_url) as keys:
        find, quota = Batcher(partial(get_todos, pool)), Quota(pool, settings.todos_per_person)
        app = create_app(
            title="To-dos with an echo",
            routes=(*ROUTES, echo),
            health=health,
            guard=Guard(keys.find, issuer=settings.issuer, audience=settings.audience),
            parts={"todos": Todos(outlet.log, pool, find, system_clock, quota)},
        )
        server = partial(serve, app, listen(settings.host, settings.port))
        gc.collect()
        gc.freeze()  # as the service does
        await run(server=server, tasks=[find.run, quota.run, *outlet.tasks()], health=health)


if __name__ == "__main__":
    start(_main(read(Settings)))
