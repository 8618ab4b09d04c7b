"""Schemathesis holds the API to its own document, through the gateway; what it needs to know is in its hooks.

Every operation, with what fits and what does not, and in sequences: no 5xx, no status and no header that the document
does not name, no answer against its schema, nothing invalid accepted and nothing valid refused.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.reference import FILE
from system import System

HERE = Path(__file__).resolve().parent
BOUNDED, FULL = 6, 400
SUCCEED = 0.6
# Nothing is parked, so there is none to show; this stack sends no SMS: a phone is answered 409, or 404 without one.
NOT_OFFERED = {
    *(f"{tag}_show_parked" for tag in ("todos", "activity", "mail", "notifications")),
    "notifications_ask_for_code",
    "notifications_verify_phone",
    "notifications_remove_phone",
}


@pytest.mark.timeout(1800)
def test_the_api_answers_as_its_document_says(world: System, full: bool, tmp_path: Path) -> None:
    seed = secrets.randbelow(2**31) if full else 1
    tried = schemathesis(world, tmp_path, "--max-examples", str(FULL if full else BOUNDED), "--seed", str(seed))
    assert tried.returncode == 0, short(tried.stdout) + short(tried.stderr)
    figures = json.loads((tmp_path / "figures.json").read_text())
    document = json.loads(FILE.read_text())
    operations = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
    assert set(figures) == operations
    offered = figures.keys() - NOT_OFFERED
    assert not {name: figures[name] for name in offered if succeeded(figures[name]) < SUCCEED}
    cases = sum(sum(counts.values()) for counts in figures.values())
    assert cases >= len(operations) * (FULL if full else BOUNDED)
    print(f"{cases} cases, seed {seed}, succeeded where meant to:")
    for name, counts in sorted(figures.items()):
        print(f"{succeeded(counts):7.0%}  {name} {counts}")


def short(output: str) -> str:
    return "\n".join(line[:400] for line in output.splitlines()[-300:])


def succeeded(counts: dict[str, int]) -> float:
    """Which part of the valid requests did what was asked."""
    meant_well = {status: count for status, count in counts.items() if status != "other"}
    return sum(count for status, count in meant_well.items() if status < "300") / max(1, sum(meant_well.values()))


def schemathesis(world: System, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """In a process and a folder of its own: it leaves caches, and its warnings are not ours."""
    for name in ("schemathesis.toml", "schemathesis_hooks.py"):
        shutil.copy(HERE / name, folder)
    program = Path(sys.executable).with_name("schemathesis")
    address = f"{world.stack.gateway}/openapi.json"
    environment = os.environ | {
        "GATEWAY": world.stack.gateway,
        "PORT_BASE": str(world.stack.layout.port_base),
        "MAILS": str(world.stack.layout.mails),
        "FIGURES": str(folder / "figures.json"),
    }
    command = [program, "run", address, "--checks", "all", "--no-color", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
