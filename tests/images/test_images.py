"""The images, built and run by a real Docker engine: `./run test-images`, which finds one or starts one."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

import httpx
import pytest

from local.layout import REPOSITORY, SERVICES
from local.ports import free_port

if "IMAGES" not in os.environ:
    pytest.skip("needs a Docker engine: ./run test-images finds or starts one", allow_module_level=True)

pytestmark = pytest.mark.timeout(900)

HARDENED = ("--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
LOOK = "for name in {}; do command -v $name && echo found $name; done; touch /app/x /x; id -u"


def docker(*arguments: str, expected: int = 0) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == expected, done.stderr[-3000:]
    return done.stdout + done.stderr


def inspected(image: str) -> dict[str, Any]:
    [found] = json.loads(docker("image", "inspect", image))
    return cast("dict[str, Any]", found)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_begins_as_nobody_where_nothing_can_be_written_and_says_what_it_lacks(service: str) -> None:
    said = docker("run", *HARDENED, f"todo-{service}", expected=1)
    assert "DATABASE_URL is required" in said.splitlines()[-1]


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_its_service_and_nothing_to_build_or_install_with(service: str) -> None:
    look = LOOK.format("gcc cc make curl git uv")
    said = docker("run", *HARDENED, "--entrypoint=sh", f"todo-{service}", "-c", look)
    assert "found" not in said
    assert said.count("Read-only file system") == 2
    assert "10001" in said.splitlines()
    imports = "import importlib.util as u; print([n for n in ('pip','pytest','local','{}') if u.find_spec(n)])"
    others = docker("run", *HARDENED, "--entrypoint=python", f"todo-{service}", "-c", imports.format(service))
    assert others.strip() == f"['{service}']"
    config = inspected(f"todo-{service}")["Config"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.title"] == f"todo-{service}"
    assert re.fullmatch(r"[0-9a-f]{40}", config["Labels"]["org.opencontainers.image.revision"])


@pytest.mark.parametrize("service", SERVICES)
def test_the_list_of_what_is_in_an_image_is_what_was_pinned_for_it(service: str) -> None:
    bill = json.loads(docker("run", *HARDENED, "--entrypoint=cat", f"todo-{service}", "/app/sbom.cdx.json"))
    listed = {(re.sub("[-_.]+", "-", each["name"]).lower(), each["version"]) for each in bill["components"]}
    lines = (REPOSITORY / "deploy" / "requirements" / f"{service}.txt").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)( ;)?", lines, flags=re.MULTILINE)
    ours = {each for each in listed if each[0].startswith("todo-")}
    assert {name for name, _ in ours} == {"todo-events", "todo-api", f"todo-{service}"}
    assert listed - ours <= {(name, version) for name, version, _ in pinned}
    assert listed >= {(name, version) for name, version, elsewhere in pinned if not elsewhere}


def test_the_same_revision_makes_the_same_files() -> None:
    before = files_of("todo-todos")
    just = [str(Path(sys.executable).with_name("just")), "images", "--no-cache", "todos"]
    subprocess.run(just, check=True, capture_output=True)
    assert files_of("todo-todos") == before


def files_of(image: str) -> dict[str, tuple[int, float, str]]:
    """Every file below /app with its mode, its date and the hash of what is in it."""
    container = docker("create", image).splitlines()[0]
    try:
        packed = subprocess.run(["docker", "cp", f"{container}:/app", "-"], capture_output=True, check=True).stdout
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        return {
            each.name: (each.mode, each.mtime, sha256(archive.extractfile(each).read()).hexdigest())
            for each in archive
            if each.isfile()
        }


@pytest.fixture(scope="module")
def composed() -> Iterator[dict[str, str]]:
    """The stack in containers; the environment of whoever asks it something."""
    environment = os.environ | {"PORT_BASE": str(free_port())}
    command = [sys.executable, "-m", "local", "compose"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True) as running:
        output = cast("IO[bytes]", running.stdout)
        assert any(line.startswith(b"ready ") for line in output), "compose did not become ready"
        try:
            yield environment
        finally:
            running.send_signal(signal.SIGTERM)
            output.read()
    assert running.returncode == 0
    docker("volume", "rm", *(f"todo-{environment['PORT_BASE']}_{name}" for name in ("postgres", "nats", "gateway")))


def test_the_demonstration_passes_over_containers(composed: dict[str, str]) -> None:
    command = [sys.executable, "-m", "local", "demo"]
    done = subprocess.run(command, env=composed, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "activity has heard it" in done.stdout
    assert "IS NOT" not in done.stdout


def test_every_container_of_a_service_is_restricted(composed: dict[str, str]) -> None:
    for service in SERVICES:
        [found] = json.loads(docker("container", "inspect", f"todo-{composed['PORT_BASE']}-{service}-1"))
        host = found["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]) == (True, ["ALL"], False)
        assert not found["Config"]["User"].startswith("0")
        assert found["State"]["Health"]["Status"] == "healthy"


def test_what_was_written_is_there_after_every_container_was_killed(composed: dict[str, str]) -> None:
    project = f"todo-{composed['PORT_BASE']}"
    subprocess.run([sys.executable, "-m", "local", "demo"], env=composed, check=True, capture_output=True, timeout=120)
    counted = ["exec", f"{project}-postgres-1", "psql", "-h", "/var/run/postgresql", "-U", "postgres", "-XqAt", "todos"]
    count = [*counted, "-c", "select count(*) from events.log"]
    before = docker(*count)
    docker("kill", *(f"{project}-{name}-1" for name in (*SERVICES, "nats", "postgres")))
    docker("start", *(f"{project}-{name}-1" for name in ("postgres", "nats", *SERVICES)))
    transport = httpx.HTTPTransport(retries=5)
    with httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{composed['PORT_BASE']}", timeout=30) as http:
        assert http.get("/todos/").status_code == 401
    subprocess.run([sys.executable, "-m", "local", "demo"], env=composed, check=True, capture_output=True, timeout=120)
    assert int(docker(*count)) > int(before) > 0
