"""What machines ask: health, metrics and the interface's description."""

import httpx

from api.edge import Edge
from api.testing import serving
from events.health import Check, Health


async def test_liveness_says_nothing_about_dependencies(client: httpx.AsyncClient, health: Health) -> None:
    health.add(lambda: Check("postgres", "failed", "refused"))
    assert (await client.get("/healthz/live")).status_code == 200


async def test_readiness_tells_what_is_late_and_turns_on_what_failed(client: httpx.AsyncClient, health: Health) -> None:
    late = await client.get("/healthz/ready")
    assert late.status_code == 200
    assert late.json() == {
        "ready": True,
        "checks": [{"name": "relay", "state": "late", "detail": "12 events behind"}],
    }
    health.add(lambda: Check("consumer", "failed", "poison"))
    failed = await client.get("/healthz/ready")
    assert (failed.status_code, failed.json()["ready"]) == (503, False)


async def test_a_process_that_leaves_is_not_ready(client: httpx.AsyncClient, health: Health) -> None:
    health.leaving = True
    assert (await client.get("/healthz/ready")).status_code == 503
    assert (await client.get("/healthz/live")).status_code == 200


async def test_requests_are_counted_by_route_not_by_address(client: httpx.AsyncClient) -> None:
    await client.get("/things/0190a0a0-0000-7000-8000-000000000001")
    await client.get("/nowhere/at/all")
    figures = (await client.get("/metrics")).text
    assert 'todo_http_request_seconds_count{method="GET",route="/things/{thing_id}",status="200"}' in figures
    assert 'route="unmatched",status="404"' in figures
    assert "0190a0a0" not in figures
    assert "nowhere" not in figures


async def test_a_made_up_method_makes_no_metric_of_its_own(client: httpx.AsyncClient) -> None:
    assert (await client.request("PROPFIND", "/things")).status_code == 405
    assert "PROPFIND" not in (await client.get("/metrics")).text


async def test_the_description_is_made_once(app: Edge) -> None:
    async with serving(app) as client:
        assert (await client.get("/openapi.json")).content == (await client.get("/openapi.json")).content


async def test_options_and_a_refusal_name_every_method_of_a_path(client: httpx.AsyncClient) -> None:
    assert (await client.options("/things")).headers["allow"] == "GET, OPTIONS, POST"
    refused = await client.delete("/things")
    assert refused.status_code == 405
    assert {"GET", "POST"} <= set(refused.headers["allow"].split(", "))
