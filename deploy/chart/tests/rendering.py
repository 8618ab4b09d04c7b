"""What the chart renders to, by Helm's own library, and how its parts are found."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from helm_python import chart as helm

CHART = Path(__file__).resolve().parents[1]
PROFILES = sorted(file.stem for file in (CHART / "profiles").glob("*.yaml"))
NATIVE = {"v1", "apps", "batch", "policy", "autoscaling", "networking.k8s.io"}


def chosen(profile: str) -> dict[str, Any]:
    """The values of a profile."""
    values: dict[str, Any] = yaml.safe_load((CHART / "profiles" / f"{profile}.yaml").read_text())
    return values


def rendered(profile: str, **values: Any) -> list[dict[str, Any]]:
    with helm.Chart.load(CHART) as chart:
        files = chart.render(values=chosen(profile) | values, name="todo", namespace="todo")
    return [each for text in files.values() for each in yaml.safe_load_all(text) if each]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """The labels and the specification of every pod."""
    for each in objects:
        if each["kind"] in {"Deployment", "Job"}:
            template = each["spec"]["template"]
            yield template["metadata"]["labels"], template["spec"]


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def schema(each: dict[str, Any]) -> Path:
    group, _, version = each["apiVersion"].partition("/")
    return CHART / "tests" / "schemas" / f"{group}_{each['kind']}_{version}.json"


def check(each: dict[str, Any]) -> None:
    """Raises if a custom resource has a field that its operator does not know, or lacks one (tests/schemas.mjs)."""
    jsonschema.validate(each, json.loads(schema(each).read_text()))
