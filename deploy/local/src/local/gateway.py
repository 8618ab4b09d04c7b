"""The gateway: Caddy on one port in front of all services."""

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from local.layout import REPOSITORY, SERVICES, Layout

# Which service answers below which paths; the chart's HTTPRoute says the same.
ROUTES: dict[str, tuple[str, ...]] = {
    "auth": ("/users", "/.well-known/jwks.json", "/.well-known/openid-configuration"),
    "todos": ("/todos",),
    "activity": ("/activity", "/analytics"),
    "notifier": ("/notifications",),
    "mailer": ("/mail",),
}

# A request id is taken over where a service would do so too (api/edge.py).
_HEAD = """\
{{
	admin off
	auto_https off
	persist_config off
	grace_period 2s
	storage file_system "{storage}"
	log {{
		level WARN
	}}
}}
http://:{port} {{
	bind {bind}
	header -Server
	map {{header.X-Request-Id}} {{request_id}} {{
		~^([A-Za-z0-9._:-]{{1,64}})$ "${{1}}"
		default {{http.request.uuid}}
	}}
	map {{header.Accept-Language}} {{unknown}} {{unknown_detail}} {{
		~(?i)^ko "찾을 수 없습니다" "요청한 항목이 없습니다. 주소를 확인하세요."
		default "Not found" "There is nothing at this address; check it."
	}}
	map {{header.Accept-Language}} {{away}} {{away_detail}} {{
		~(?i)^ko "지금은 사용할 수 없습니다" "`Retry-After` 이후 다시 시도하세요."
		default "Not available right now" "Retry after `Retry-After`."
	}}
"""

# A service that restarts refuses nothing: the gateway waits for it. Idle connections end before the service ends them.
_SERVICE = """\
	@{name} path {paths}
	handle @{name} {{
		reverse_proxy {address} {{
			lb_try_duration 8s
			lb_try_interval 250ms
			transport http {{
				dial_timeout 1s
				keepalive 1s
			}}
		}}
	}}
	handle /openapi/{name}.json {{
		rewrite /openapi.json
		reverse_proxy {address}
	}}
"""

# Files alone, here and on Kubernetes (ADR 12). The policy is what keeps the page from asking anybody else.
_REFERENCE = """\
	handle /openapi.json {{
		root * "{docs}"
		file_server
	}}
	@reference path /docs /docs/
	handle @reference {{
		root * "{docs}"
		rewrite * /reference.html
		header Content-Security-Policy "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
		file_server
	}}
	handle /docs/reference.js {{
		root * "{docs}"
		uri strip_prefix /docs
		file_server
	}}
	handle_path /docs/assets/* {{
		root * "{assets}"
		file_server
	}}
"""

_TAIL = """\
	handle {{
		header Content-Type application/problem+json
		header X-Request-Id {{request_id}}
		respond `{not_found}` 404
	}}
	handle_errors 502 503 504 {{
		header Content-Type application/problem+json
		header X-Request-Id {{request_id}}
		header Retry-After 1
		respond `{unavailable}` 503
	}}
}}
"""


def caddyfile(
    layout: Layout, *, bind: str = "127.0.0.1", docs: Path | None = None, pictures: Path | None = None
) -> str:
    """The gateway's configuration; health and metrics of the services stay behind it.

    `docs` and `pictures` are where it finds what this repository's `docs` and `assets()` hold, where not there.
    """
    services = (
        _SERVICE.format(name=name, address=urlsplit(layout.service_url(name)).netloc, paths=" ".join(_paths(name)))
        for name in SERVICES
    )
    problems = {
        "not_found": _problem(404, "not_found", "unknown"),
        "unavailable": _problem(503, "unavailable", "away"),
    }
    return (
        _HEAD.format(port=layout.port_base, bind=bind, storage=layout.folder / "caddy")
        + "".join(services)
        + _REFERENCE.format(docs=docs or REPOSITORY / "docs", assets=pictures or assets())
        + _TAIL.format(**problems)
    )


def assets() -> Path:
    """The files of Swagger UI, as its wheel brings them."""
    spec = find_spec("flask_swagger_ui")
    assert spec is not None  # noqa: S101 - installed with this package
    assert spec.origin is not None  # noqa: S101 - as above
    return Path(spec.origin).with_name("dist")


def _paths(service: str) -> list[str]:
    return [path for prefix in ROUTES[service] for path in (prefix, f"{prefix}/*")]


def _problem(status: int, code: str, key: str) -> str:
    """RFC 9457, as the services write it; the gateway fills the braces."""
    return (
        f'{{"type":"urn:problem:{code}","title":"{{{key}}}","status":{status},"detail":"{{{key}_detail}}",'
        f'"code":"{code}","request_id":"{{request_id}}"}}'
    )
