"""deploy/dashboards, and the chart's alerts: they can be loaded, ask for what the services export, and have an answer.

The dashboards' queries of PostgreSQL are asked in services/activity/tests/test_dashboards.py.
"""

import asyncio
import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from math import isnan
from pathlib import Path
from typing import Any

import httpx
import msgspec
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from local.fixtures import until
from local.layout import REPOSITORY
from system import Person, System, code_of

FILES = sorted((REPOSITORY / "deploy" / "dashboards").glob("*.json"))
ALERTS = REPOSITORY / "deploy" / "chart" / "alerts.yaml"
PROGRAM = shutil.which("prometheus")
needs_prometheus = pytest.mark.skipif(
    not PROGRAM, reason="no Prometheus on the PATH: no query was asked (apt-get install prometheus)"
)
CURRENT_SCHEMA = 42
GIVEN = {"job", "instance", "namespace", "le"}
"""Labels that Prometheus and its operator add, and the one of buckets."""


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in board["panels"] if panel["type"] != "row")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_is_described_measured_and_bound_to_no_server(file: Path) -> None:
    board = msgspec.json.decode(file.read_bytes())
    assert board["schemaVersion"] == CURRENT_SCHEMA
    assert "id" not in board
    assert "__inputs" not in board
    variables = {each["name"] for each in board["templating"]["list"]}
    for panel in panels(board):
        assert len(panel["description"]) > 30, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]), panel["title"]
    uids = re.findall(r'"uid":\s*"([^"]*)"', file.read_text())
    assert set(uids) - {board["uid"]} <= {f"${{{name}}}" for name in variables}
    used = set(re.findall(r"\$\{?([a-z]\w*)", file.read_text()))
    assert used <= variables
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_panel_covers_another(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in msgspec.json.decode(file.read_bytes())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


async def test_every_metric_of_a_dashboard_or_an_alert_is_exported_with_its_labels(world: System) -> None:
    names, labels = await exported(world)
    asked = [*(each for file in FILES for each in expressions(file)), *alerts()]
    assert len(asked) > 40
    for expression in asked:
        for name, wanted in selected(expression).items():
            assert name in names, f"{name} is exported by nobody: {expression}"
            if name in labels:
                assert wanted - GIVEN <= labels[name], expression


async def test_what_the_services_count_is_on_a_dashboard(world: System) -> None:
    names, _ = await exported(world)
    shown = {name for file in FILES for each in expressions(file) for name in selected(each)}
    stems = {re.sub("_(bucket|count|sum)$", "", name) for name in shown}
    own = {re.sub("_(bucket|count|sum|created)$", "", name) for name in names if name.startswith("todo_")}
    assert own - {name.removesuffix("_total") for name in stems} - stems == set()


async def exported(world: System) -> tuple[set[str], dict[str, set[str]]]:
    """The names of all samples that the services' /metrics tell of, and the labels of those that have any."""
    names: set[str] = set()
    labels: dict[str, set[str]] = {}
    async with httpx.AsyncClient() as http:
        for service in world.stack.details["services"]:
            text = (await http.get(f"{world.url(service)}/metrics")).text
            for family in text_string_to_metric_families(text):
                endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
                names |= {f"{family.name}{ending}" for ending in endings}
                for sample in family.samples:
                    labels.setdefault(sample.name, set()).update(sample.labels)
    return names, labels


def expressions(file: Path) -> Iterator[str]:
    for panel in panels(msgspec.json.decode(file.read_bytes())):
        for target in panel["targets"]:
            if "expr" in target:
                yield target["expr"].replace("$__rate_interval", "5m").replace("$job", ".+")


def alerts() -> Iterator[str]:
    for group in msgspec.yaml.decode(ALERTS.read_bytes())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def selected(expression: str) -> dict[str, set[str]]:
    """The metrics of an expression, each with the labels by which it is chosen or summed."""
    found: defaultdict[str, set[str]] = defaultdict(set)

    def select(expr: promql_parser.Expr, *by: str) -> None:
        selector = expr.vector_selector if isinstance(expr, promql_parser.MatrixSelector) else expr
        if isinstance(selector, promql_parser.VectorSelector):
            found[selector.name or ""].update(by, (each.name for each in selector.matchers.matchers))

    def visit(expr: promql_parser.Expr) -> bool:
        if isinstance(expr, promql_parser.AggregateExpr) and expr.modifier:
            by = expr.modifier.labels
            promql_parser.walk(expr.expr, lambda each: select(each, *by) or True)
        select(expr)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    assert found, expression
    return found


@pytest.fixture
async def prometheus(world: System, tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a Prometheus that asks each service twice a second and knows the alerts."""
    address, file = f"127.0.0.1:{free_port()}", tmp_path / "prometheus.json"
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [httpx.URL(url).netloc.decode()]}]}
        for name, url in world.stack.details["services"].items()
    ]
    paces = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"}
    file.write_text(json.dumps({"global": paces, "rule_files": [str(ALERTS)], "scrape_configs": jobs}))
    assert PROGRAM
    arguments = [f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={address}"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, *arguments], stdout=log, stderr=log)  # noqa: ASYNC220 - starts at once
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1", timeout=10, trust_env=False) as http:
            await until(lambda: is_ready(http, address), within=30)
            yield http
    finally:
        process.terminate()
        process.wait(10)


async def is_ready(http: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await http.get(f"http://{address}/-/ready")).status_code == 200
    except httpx.ConnectError:
        return False


@needs_prometheus
async def test_every_query_of_a_dashboard_has_data_under_load(world: System, prometheus: httpx.AsyncClient) -> None:
    asked = {each for file in FILES for each in expressions(file)}
    assert len(asked) > 35
    async with under_load(world):
        try:
            await until(lambda: all_answered(prometheus, asked), within=40)
        except pytest.fail.Exception:
            pytest.fail(f"no data: {sorted(asked)}")


@needs_prometheus
async def test_every_alert_can_be_evaluated_and_none_rings_while_all_is_well(
    world: System, prometheus: httpx.AsyncClient
) -> None:
    async def evaluated() -> list[dict[str, Any]]:
        groups = (await prometheus.get("/rules")).json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = await until(evaluated, within=30)
    assert len(rules) >= 9
    for rule in rules:
        assert (rule["health"], rule["state"]) in {("ok", "inactive"), ("ok", "pending")}, rule


async def all_answered(prometheus: httpx.AsyncClient, asked: set[str]) -> bool:
    """Whether every query has a figure; those that had one are not asked again."""
    for query in sorted(asked):
        if await figures(prometheus, query):
            asked.discard(query)
    return not asked


async def figures(prometheus: httpx.AsyncClient, query: str) -> list[float]:
    """What a query is answered, without what is not a number."""
    answer = await prometheus.get("/query", params={"query": query})
    assert answer.status_code == 200, answer.text
    values = [float(series["value"][1]) for series in answer.json()["data"]["result"]]
    return [value for value in values if not isnan(value)]


@asynccontextmanager
async def under_load(world: System) -> AsyncIterator[None]:
    """People come, write, listen and leave meanwhile, and a consumer loses its place at the broker."""
    going = asyncio.create_task(_live_for_ever(world))
    try:
        yield
        assert not going.done()
    finally:
        going.cancel()
        await asyncio.wait([going])


async def _live_for_ever(world: System) -> None:
    while True:
        async with world.person() as me:
            await _listen(me)
            for number in range(5):
                created = await me.create(f"할 일 {number}")
                await me.http.patch(f"{created.headers['location']}/toggle")
            await _forget_a_consumer(world)
            await me.http.get("/todos/")
            await _leave(me)


async def _listen(me: Person) -> None:
    ticket = (await me.http.post("/notifications/ticket")).json()["data"]["ticket"]
    gateway = str(me.http.base_url).rstrip("/")
    address = f"{gateway.replace('http', 'ws', 1)}/notifications/ws?ticket={ticket}&last=0"
    async with connect(address, origin=gateway) as socket:
        await socket.recv()


async def _forget_a_consumer(world: System) -> None:
    async with world.jetstream() as js:
        for consumer in await js.consumers_info("TODOS"):
            if consumer.name.startswith("notifier"):
                await js.delete_consumer("TODOS", consumer.name)


async def _leave(me: Person) -> None:
    challenge = await me.ask_for_code()
    code = code_of(await until(lambda: me.codes()[1:] and me.codes()[-1]))
    proof = {"challenge_id": challenge["challenge_id"], "otp_code": code}
    left = await me.http.request("DELETE", "/users/me", json=proof)
    assert left.status_code == 200, left.text
