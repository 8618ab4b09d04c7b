"""Has a service's own command answer what only its code can: todo-ops imports no service."""

import asyncio
import os
import sys
from importlib.util import find_spec

from events.errors import EventsError
from ops.places import Places


class NotHere(EventsError):
    """The service's code is not installed where todo-ops runs."""


class NotDone(EventsError):
    """The service's command failed; the message is what it said."""


async def ask(places: Places, service: str, *words: str) -> tuple[int, str]:
    """Run `python -m SERVICE ...` on its database; its exit status and what it said. Raises `NotHere`.

    What it reads besides DATABASE_URL and NATS_URL is as it is in todo-ops' own environment.
    """
    if find_spec(service) is None:
        raise NotHere(f"{service} is not installed here: run `python -m {service} {' '.join(words)}` where it is")
    environment = os.environ | {"DATABASE_URL": places.url(service), "NATS_URL": places.broker.url}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", service, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace").strip()


async def tell(places: Places, service: str, *words: str) -> str:
    """Have `python -m SERVICE ...` do something; what it said. Raises `NotHere`, `NotDone`."""
    code, said = await ask(places, service, *words)
    if code:
        raise NotDone(said or f"python -m {service} {' '.join(words)} ended with {code}")
    return said
