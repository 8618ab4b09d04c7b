"""Does the suite notice a broken rule? Each patch beside this file breaks one; its `kill` must turn red.

`run.py [NAME ...]`; without names, all of them. A patch begins with two lines:

    rule: what holds in the unbroken code
    kill: pytest libs/events/tests/test_log.py::test_...     (or: lint-imports --contract layers)

What git tracks is copied, as it stands in the work tree, and the copy's code runs: its source folders come first on
PYTHONPATH. A mutant counts as killed where a test failed or a contract broke, not where nothing could be collected,
and only if the same command is green in a copy without the patch.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent
# That each package is imported from the tree that the tests stand in.
PROOF = "pytest tests/test_house.py -k a_package_of_ours"
LIMIT = 120
BROKEN = re.compile(r"^FAILED \S*?([^/\s]+?)(?: - .*)?$|^(.*) BROKEN$", re.MULTILINE)


class Mutant(NamedTuple):
    """A patch, the rule that it breaks, the command that must notice."""

    path: Path
    rule: str
    kill: str


class Trial(NamedTuple):
    """How a command ended: green, red (and by what), or neither."""

    green: bool
    killer: str
    output: str


def mutants(names: Sequence[str]) -> Iterator[Mutant]:
    """The named mutants, or all."""
    for path in [FOLDER / f"{name}.patch" for name in names] or sorted(FOLDER.glob("*.patch")):
        rule, kill = (re.match(r"rule: (.+)\nkill: (.+)\n", path.read_text()) or sys.exit(f"no header: {path}")).groups()
        yield Mutant(path, rule, kill)


def copy_tracked(target: Path) -> None:
    """Copy what git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)


def attempt(command: str, tree: Path) -> Trial:
    """Run a command on a tree."""
    program, *arguments = shlex.split(command)
    if program == "pytest":
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "--timeout=60", *arguments]
    sources = os.pathsep.join(str(path) for path in sorted(tree.glob("*/*/src")))
    environment = os.environ | {"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}
    call = [Path(sys.executable).with_name(program), *arguments]
    try:
        ran = subprocess.run(
            call, cwd=tree, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return Trial(green=False, killer="", output=f"no end within {LIMIT} s")
    found = BROKEN.search(ran.stdout) if ran.returncode == 1 else None
    killer = (found[1] or found[2]) if found else ""
    return Trial(ran.returncode == 0, killer, ran.stdout + ran.stderr)


def judge(mutant: Mutant, clean: Path, tree: Path, green: "cache") -> str:
    """What killed a mutant; exits nowhere: an empty text begins no table row, a `!` marks what went wrong."""
    shutil.copytree(clean, tree)
    applied = subprocess.run(
        ["git", "apply", mutant.path], cwd=tree, capture_output=True, text=True, check=False,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)},
    )
    if applied.returncode != 0:
        return f"! no longer applies: {applied.stderr.strip()}"
    if not green(mutant.kill):
        return "! red without the patch too"
    trial = attempt(mutant.kill, tree)
    return trial.killer or ("! SURVIVED" if trial.green else f"! neither green nor red:\n{trial.output[-2000:]}")
