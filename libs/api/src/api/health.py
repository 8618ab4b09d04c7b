"""What machines ask of a process: alive, ready, figures. Not routed through the gateway."""

import msgspec
import prometheus_client
from litestar import Router

from api.answers import Answer
from api.requests import Request
from api.routes import get
from events.health import Check, Health


class Readiness(msgspec.Struct, frozen=True):
    """The state of each part of a process; ready while none failed and the process is not leaving."""

    ready: bool
    checks: list[Check]


@get("/healthz/live", sync_to_thread=False)
def live() -> Answer[dict[str, str]]:
    """The process answers; says nothing about what it depends on."""
    return Answer(b'{"status":"live"}')


@get("/healthz/ready", sync_to_thread=False)
def ready(request: Request) -> Answer[Readiness]:
    """200 while this process can do its work, else 503; what is late is told either way."""
    health: Health = request.app.state.health
    checks = health.checks()
    is_ready = Health.is_ready(checks) and not health.leaving
    body = msgspec.json.encode(Readiness(is_ready, checks))
    return Answer(body, status=200 if is_ready else 503, headers={"cache-control": "no-store"})


@get("/metrics", sync_to_thread=False)
def metrics() -> Answer[str]:
    """Figures in Prometheus' text format."""
    return Answer(prometheus_client.generate_latest(), media=prometheus_client.CONTENT_TYPE_LATEST)


def health_routes() -> Router:
    """The routes, outside the OpenAPI document."""
    return Router("/", route_handlers=[live, ready, metrics], include_in_schema=False)
