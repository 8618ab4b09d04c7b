"""The house keeps its own rules: names, imports, sizes."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = {
    "events": "libs/events",
    "api": "libs/api",
    "auth": "services/auth",
    "todos": "services/todos",
    "mailer": "services/mailer",
    "activity": "services/activity",
    "notifier": "services/notifier",
    "local": "deploy/local",
    "ops": "deploy/ops",
}
SOURCES = sorted(path for place in PACKAGES.values() for path in (REPOSITORY / place / "src").rglob("*.py"))

# Each contract of .importlinter with a line that breaks it, and where.
VIOLATIONS = [
    ("layers", "todos/api.py", "from auth import main"),
    ("layers", "events/relay.py", "from todos import domain"),
    ("layers", "api/guard.py", "from auth import domain"),
    ("layers", "mailer/main.py", "from local import nats"),
    ("rooms", "todos/domain.py", "from todos import tables"),
    ("rooms", "todos/tables.py", "from todos import api"),
    ("rooms", "activity/consumers.py", "from activity import api"),
    ("rooms", "todos/utils.py", "import msgspec"),
    ("settings", "auth/api.py", "from auth.settings import Settings"),
    ("domain", "todos/domain.py", "from events.log import Log"),
    ("domain", "auth/domain.py", "import secrets"),
    ("domain", "auth/person.py", "import asyncpg"),
    ("domain", "activity/periods.py", "import asyncpg"),
    ("domain", "auth/domain.py", "from api.problems import Problem"),
    ("machinery", "events/log.py", "from events.catalog.todos import TodoCreated"),
    ("machinery", "events/envelope.py", "from events.catalog import feeds"),
    ("tracing", "events/relay.py", "from events import otlp"),
    ("sdk", "todos/api.py", "from opentelemetry import trace"),
]


@pytest.mark.parametrize(("name", "place"), PACKAGES.items())
def test_a_package_of_ours_is_the_one_in_this_repository(name: str, place: str) -> None:
    """A package of the same name on the index would else win silently."""
    spec = find_spec(name)
    assert spec is not None
    assert Path(spec.origin) == REPOSITORY / place / "src" / name / "__init__.py"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and the contracts, to break."""
    folder = tmp_path_factory.mktemp("house")
    for name, place in PACKAGES.items():
        shutil.copytree(REPOSITORY / place / "src" / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / ".importlinter", folder)
    return folder


@pytest.mark.parametrize(("contract", "module", "line"), VIOLATIONS)
def test_a_forbidden_import_is_found(copy: Path, contract: str, module: str, line: str) -> None:
    file = copy / module
    before = file.read_text() if file.exists() else None
    file.write_text(f"{before or ''}\n{line}\n")
    try:
        found = lint_imports(copy, contract)
    finally:
        file.unlink() if before is None else file.write_text(before)
    assert found.returncode != 0
    assert "BROKEN" in found.stdout
    assert module.removesuffix(".py").split("/")[-1] in found.stdout


def test_nothing_imports_what_it_may_not(copy: Path) -> None:
    found = lint_imports(copy)
    assert found.returncode == 0, found.stdout + found.stderr


def lint_imports(folder: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    limit = ["--contract", contract] if contract else []
    env = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run([*command, *limit], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_whole_system_tests_know_the_catalogue_and_the_wire_alone() -> None:
    """They would else pass with a service that only its own code can talk to. `local` is the harness."""
    wrong = {
        f"{path.relative_to(REPOSITORY)}: {module}"
        for path in (REPOSITORY / "tests").rglob("*.py")
        for module in imported_modules(path)
        if module.split(".")[0] in PACKAGES and not module.startswith(("events.catalog", "local"))
    }
    assert not wrong


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on the PATH")
def test_every_mutant_still_applies() -> None:
    """A patch that no longer applies breaks no rule, and nobody would miss it before the next whole run of them."""
    patches = sorted((REPOSITORY / "tests" / "mutants").glob("*.patch"))
    assert patches
    stale = [
        patch.name
        for patch in patches
        if subprocess.run(
            ["git", "apply", "--check", patch], cwd=REPOSITORY, stderr=subprocess.DEVNULL, check=False
        ).returncode
    ]
    assert not stale


def test_every_guarantee_names_tests_that_exist() -> None:
    named = re.findall(r"`(\S+\.py)::(test_\w+)`", (REPOSITORY / "docs" / "guarantees.md").read_text())
    assert named
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (REPOSITORY / file).read_text()]
    assert not missing


def test_no_file_and_no_function_is_too_long() -> None:
    long_files = {place(path): lines for path in SOURCES if (lines := len(path.read_text().splitlines())) > limit(path)}
    long_functions = {
        f"{place(path)}:{node.name}": lines
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := body_lines(node)) > 40
    }
    assert not long_files | long_functions


def limit(path: Path) -> int:
    return 150 if path.name == "domain.py" else 300


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def place(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))
