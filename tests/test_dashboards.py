"""deploy/dashboards, and the chart's alerts: they can be loaded, and ask for metrics that the services export."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from local.layout import REPOSITORY
from system import System

FILES = sorted((REPOSITORY / "deploy" / "dashboards").glob("*.json"))
ALERTS = REPOSITORY / "deploy" / "chart" / "alerts.yaml"
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
