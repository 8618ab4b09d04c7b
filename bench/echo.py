"""An application of the parts that `todos` is made of, whose one route answers what it was sent: the measure for POST.

Edge, guard, decoding, envelope and headers are the same; deciding, appending and relaying are what it leaves out.
"""

from functools import partial
from typing import Final

from litestar import post
from litestar.params import JSONBody

from api.answers import Answer, Envelope, answer
from api.app import create_app
from api.guard import Guard, signed_in
from api.keys import Jwks
from api.messages import Message
from api.requests import Request
from api.server import listen, serve
from events.health import Health
from events.ids import uuid7
from events.process import run, start
from events.settings import read
from events.telemetry import configure_logging
from todos.api import NewTodo
from todos.settings import Settings

ECHOED: Final = Message(key="echo", en="Echoed successfully", ko="되돌려 보냈습니다")


@post("/echo", guards=[signed_in])
async def echo(request: Request, data: JSONBody[NewTodo]) -> Answer[Envelope[NewTodo]]:
    """Answer as a to-do that was made would be, with nothing made."""
    return answer(request, ECHOED, data, status=201, version=1, location=f"/todos/{uuid7()}").at("TODOS", 1)


async def _main(settings: Settings) -> None:
    configure_logging("echo", settings.log_level)
    health = Health()
    async with Jwks(settings.jwks_url) as keys:
        guard = Guard(keys.find, issuer=settings.issuer, audience=settings.audience)
        app = create_app(title="Echo", routes=(echo,), health=health, guard=guard)
        await run(server=partial(serve, app, listen(settings.host, settings.port)), tasks=[], health=health)


if __name__ == "__main__":
    start(_main(read(Settings)))
