"""Custom resources, and what the examples have to do with the chart."""

from typing import Any

import pytest

pytest.importorskip("helm_python.chart", reason="helm-python-sdk is for ./run chart alone")

import jsonschema
import yaml
from rendering import CHART, NATIVE, PROFILES, check, chosen, containers, of_kind, pods, rendered, schema


@pytest.mark.parametrize("profile", PROFILES)
def test_every_custom_object_is_one_that_its_operator_knows(profile: str) -> None:
    for each in rendered(profile):
        if each["apiVersion"].partition("/")[0] not in NATIVE:
            check(each)


def test_every_schema_is_of_something_that_there_is() -> None:
    there = [*rendered("high-availability"), *example("external-secrets")]
    needed = {schema(each) for each in there if each["apiVersion"].partition("/")[0] not in NATIVE}
    assert set((CHART / "tests" / "schemas").iterdir()) == needed


@pytest.mark.parametrize(
    ("kind", "place", "field"),
    [
        ("HTTPRoute", ("rules", 0, "backendRefs", 0), "port"),
        ("HTTPRoute", ("rules", 0, "matches", 0, "path"), "type"),
        ("ScaledObject", ("triggers", 0), "metadata"),
        ("PodMonitor", ("podMetricsEndpoints", 0), "scrapeTimeout"),
        ("PrometheusRule", ("groups", 0, "rules", 0), "expr"),
    ],
)
def test_a_typo_deep_in_a_custom_object_is_found(kind: str, place: tuple[str | int, ...], field: str) -> None:
    each = next(iter(of_kind(rendered("high-availability"), kind).values()))
    part: Any = each["spec"]
    for step in place:
        part = part[step]
    part[f"{field}s"] = part[field]
    with pytest.raises(jsonschema.ValidationError, match=f"'{field}s' was unexpected"):
        check(each)


def example(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((CHART / "examples" / f"{name}.yaml").read_text()))


def test_the_gateway_of_the_example_verifies_as_the_services_do() -> None:
    objects = rendered("high-availability")
    [route] = of_kind(objects, "HTTPRoute").values()
    policy, traffic = example("envoy-gateway")
    targets = {each.pop("sectionName") for each in policy["spec"]["targetRefs"]}
    assert targets == {rule["name"] for rule in route["spec"]["rules"]} - {"auth"}
    assert [*policy["spec"]["targetRefs"], *traffic["spec"]["targetRefs"]] == 5 * [
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route["metadata"]["name"]}
    ]
    [provider] = policy["spec"]["jwt"]["providers"]
    settings = of_kind(objects, "ConfigMap")["todo-todos"]["data"]
    assert (provider["issuer"], provider["remoteJWKS"]["uri"]) == (settings["ISSUER"], settings["JWKS_URL"])


def test_a_gateway_lets_go_of_idle_connections_before_a_service_does() -> None:
    server = (CHART.parents[1] / "libs/api/src/api/server.py").read_text()
    [kept] = [int(line.split("=")[1]) for line in server.splitlines() if line.startswith("KEEP_ALIVE = ")]
    _, traffic = example("envoy-gateway")
    assert int(traffic["spec"]["timeout"]["http"]["connectionIdleTimeout"].removesuffix("s")) + 10 < kept


def test_the_secrets_of_the_example_are_those_that_the_chart_names() -> None:
    named = {
        each["secretRef"]["name"]
        for _, spec in pods(rendered("small"))
        for container in containers(spec)
        for each in container["envFrom"]
        if "secretRef" in each
    }
    secrets = example("external-secrets")
    assert {each["spec"]["target"]["name"] for each in secrets} <= named
    for each in secrets:
        check(each)


def test_what_stands_behind_is_let_through_where_the_examples_put_it() -> None:
    [cluster] = example("cloudnative-pg")
    [nats] = example("nats-values")
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    postgres = values["network"]["postgres"]["to"][0]["namespaceSelector"]["matchLabels"]
    assert postgres == {"kubernetes.io/metadata.name": cluster["metadata"]["namespace"]}
    replicas = chosen("high-availability")["streamReplicas"]
    assert nats["config"]["cluster"] == {"enabled": True, "replicas": replicas}
