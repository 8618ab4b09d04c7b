"""The chart, rendered offline in every profile: valid, the same as what was looked at, and by the rules."""

import ast
import json
import os
from typing import Any

import pytest

helm = pytest.importorskip("helm_python.chart", reason="helm-python-sdk is for ./run chart alone")

import kubernetes_validate  # noqa: E402 - where the above is, this is too, and the folder is on the path
import yaml  # noqa: E402
from rendering import CHART, NATIVE, PROFILES, chosen, containers, of_kind, pods, rendered  # noqa: E402

OLDEST, NEWEST = "1.30", "1.37"
DRAIN = 5
"""Seconds that a process may take to end its requests (api/server.py)."""


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def objects(profile: str) -> list[dict[str, Any]]:
    return rendered(profile)


def test_the_chart_has_nothing_that_a_linter_warns_of(profile: str) -> None:
    told = helm.lint(CHART, chosen(profile), namespace="todo", kube_version=f"v{OLDEST}.0")
    assert [each for each in told["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_one_that_kubernetes_knows(objects: list[dict[str, Any]], version: str) -> None:
    for each in objects:
        if each["apiVersion"].partition("/")[0] in NATIVE:
            kubernetes_validate.validate(each, version, strict=True)


def test_what_is_rendered_is_what_was_looked_at(profile: str, objects: list[dict[str, Any]]) -> None:
    golden = CHART / "golden" / f"{profile}.yaml"
    text = yaml.safe_dump_all(objects, sort_keys=True)
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(text)
    assert golden.read_text() == text, "look at the difference; then GOLDEN=write ./run chart"


def test_two_objects_of_a_kind_never_share_a_name(objects: list[dict[str, Any]]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "typo",
    [
        {"servces": {}},
        {"services": {"todos": {"api": {"replica": 2}}}},
        {"services": {"todos": {"api": {"replicas": 0}}}},
        {"services": {"todo": {"paths": ["/todo"]}}},
        {"url": "todo.example.com"},
        {"streamReplicas": 2},
        {"image": {"digests": {"auth": "latest"}}},
        {"image": {"digests": {"todo": f"sha256:{0:064}"}}},
        {"settings": {"log_level": "INFO"}},
        {"settings": {"SMTP_PASSWORD": "in everybody's sight"}},
        {"settings": {"FCM_ACCOUNT": "{}"}},
        {"settings": {"PORT": "80"}},
        {"settings": {"TODOS_PER_PERSON": 1000000}},
        {"network": {"gateway": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}},
        {"network": {"smtp": {"port": "587"}}},
        {"spread": {"whenUnsatisfiable": "Perhaps"}},
    ],
    ids=str,
)
def test_what_is_no_value_is_refused(typo: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="values don't meet the specifications"):
        rendered("small", **typo)


def test_pods_are_restricted(objects: list[dict[str, Any]]) -> None:
    for _, spec in pods(objects):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_secrets_are_named_and_never_written(objects: list[dict[str, Any]]) -> None:
    assert not of_kind(objects, "Secret")
    for _, spec in pods(objects):
        for container in containers(spec):
            assert any("secretRef" in each for each in container["envFrom"])
    owners = {f"{name.removesuffix('-migration')}-owner" for name in of_kind(objects, "Job")}
    for deployment in of_kind(objects, "Deployment").values():
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        assert not owners & {each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each}


def test_an_image_can_be_named_by_what_it_contains() -> None:
    digest = f"sha256:{7:064}"
    images = {
        (labels["app.kubernetes.io/name"], container["image"])
        for labels, spec in pods(rendered("small", image={"repository": "to/do", "digests": {"auth": digest}}))
        for container in containers(spec)
    }
    tagged = {(service, f"to/do-{service}:0.1.0") for service in ("todos", "mailer", "activity", "notifier")}
    assert images == {*tagged, ("auth", f"to/do-auth:0.1.0@{digest}")}


def test_a_service_has_its_own_word_on_settings() -> None:
    mine = {"DKIM_KEY_FILE": "/keys/dkim.pem", "SMTP_STARTTLS": False}
    objects = rendered("small", settings={"SMTP_STARTTLS": True}, services={"mailer": {"settings": mine}})
    told = of_kind(objects, "ConfigMap")["todo-mailer"]["data"]
    assert (told["DKIM_KEY_FILE"], told["SMTP_STARTTLS"]) == ("/keys/dkim.pem", "false")


def test_what_settings_name_can_be_mounted() -> None:
    volume, mount = {"name": "seals", "persistentVolumeClaim": {"claimName": "s"}}, {"name": "seals", "mountPath": "/s"}
    objects = rendered("small", services={"activity": {"volumes": [volume], "mounts": [mount]}})
    mounted = [spec for labels, spec in pods(objects) if labels["app.kubernetes.io/name"] == "activity"]
    assert len(mounted) == 3
    for spec in mounted:
        assert volume in spec["volumes"]
        for container in containers(spec):
            assert [each["name"] for each in container["volumeMounts"]] == ["tmp", "seals"]


def test_a_pod_is_left_the_time_to_end_and_its_probes_ask_what_they_should(objects: list[dict[str, Any]]) -> None:
    for deployment in of_kind(objects, "Deployment").values():
        spec = deployment["spec"]["template"]["spec"]
        [container] = spec["containers"]
        waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert spec["terminationGracePeriodSeconds"] > waits + 2 * DRAIN
        paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
        assert paths == {"startup": "/healthz/live", "liveness": "/healthz/live", "readiness": "/healthz/ready"}
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_what_is_more_than_one_is_not_evicted_together(objects: list[dict[str, Any]]) -> None:
    least = {
        name: each["spec"].get("replicas")
        or next(
            scaler["spec"].get("minReplicas") or scaler["spec"]["minReplicaCount"]
            for scaler in objects
            if scaler["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}
            and scaler["spec"]["scaleTargetRef"]["name"] == name
        )
        for name, each in of_kind(objects, "Deployment").items()
    }
    assert of_kind(objects, "PodDisruptionBudget").keys() == {name for name, count in least.items() if count > 1}


def test_only_workers_that_share_their_work_are_scaled_by_it(objects: list[dict[str, Any]], profile: str) -> None:
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(objects, "ScaledObject").values()}
    assert scaled == ({"todo-mailer-worker", "todo-notifier-worker"} if profile == "high-availability" else set())


def test_nothing_passes_but_what_is_named(objects: list[dict[str, Any]]) -> None:
    policies = of_kind(objects, "NetworkPolicy")
    deny = policies["todo-deny"]["spec"]
    assert set(deny) == {"podSelector", "policyTypes"}
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    for labels, _ in pods(objects):
        assert deny["podSelector"]["matchLabels"].items() <= labels.items()
    reached = {name for name, each in policies.items() if "gateway" in str(each["spec"].get("ingress"))}
    assert reached == {f"todo-{service}-api" for service in ("auth", "todos", "mailer", "activity", "notifier")}
    for name, policy in policies.items():
        if name != "todo-backing":  # DNS, wherever it is
            assert all(rule.get("from") or rule.get("to") for rule in rules(policy)), name


def test_traces_pass_where_a_collector_is_named() -> None:
    for settings, leads in (({}, False), ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring:4318"}, True)):
        policy = of_kind(rendered("small", settings=settings), "NetworkPolicy")["todo-services"]
        assert ({"port": 4318} in [port for rule in rules(policy) for port in rule["ports"]]) is leads


def rules(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]


def test_the_route_leads_where_the_local_gateway_does() -> None:
    source = ast.parse((CHART.parents[1] / "deploy/local/src/local/gateway.py").read_text())
    [local] = [ast.literal_eval(each.value) for each in source.body if getattr(each, "target", None) is not None]
    [route] = of_kind(rendered("high-availability"), "HTTPRoute").values()
    led = {
        rule["backendRefs"][0]["name"].removeprefix("todo-"): tuple(each["path"]["value"] for each in rule["matches"])
        for rule in route["spec"]["rules"]
    }
    assert led == local


def test_no_stream_of_events_and_no_export_is_cut_by_the_gateway() -> None:
    """What is sent as it is made takes as long as whoever reads it: live events, and each service's export."""
    document = json.loads((CHART.parents[1] / "docs" / "openapi.json").read_text())
    exports = {path for path in document["paths"] if path.endswith("/export")}
    assert len(exports) == 5
    [route] = of_kind(rendered("high-availability"), "HTTPRoute").values()
    for path in {"/notifications/stream", *exports}:
        [rule] = [
            rule
            for rule in route["spec"]["rules"]
            if any(path.startswith(f"{each['path']['value']}/") for each in rule["matches"])
        ]
        assert rule.get("timeouts") == {"request": "0s"}, path


def test_every_alert_says_what_is_wrong_and_where_to_read_on() -> None:
    [rule] = of_kind(rendered("high-availability"), "PrometheusRule").values()
    headings = (CHART.parents[1] / "docs" / "operations.md").read_text()
    for group in rule["spec"]["groups"]:
        for alert in group["rules"]:
            assert alert["labels"]["severity"] in {"warning", "critical"}
            assert alert["annotations"]["summary"]
            assert alert["annotations"]["runbook_url"].endswith(f"#{alert['alert'].lower()}")
            assert f"### {alert['alert']}\n" in headings, alert["alert"]
