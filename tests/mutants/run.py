"""Does the suite notice a broken rule? Each patch beside this file breaks one, and its `kill` must turn red.

`run.py [NAME ...]`; without names, all of them. A patch begins with two lines:

    rule: what holds in the unbroken code
    kill: libs/events/tests/test_log.py -k stale     (a selection of pytest's; or: lint-imports)

The copy's code runs: its source folders come first on PYTHONPATH. A mutant is killed where a test failed or a contract
broke, not where nothing could be collected, and only if the same command is green without the patch.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[1]
PROOF = "tests/test_house.py -k a_package_of_ours"
PYTEST = ("pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=60")
HEADER = re.compile(r"rule: (.+)\nkill: (.+)\n")
CULPRIT = re.compile(r"^FAILED (?:\S*::)?(.+?)(?: - .*)?$|^(.+) BROKEN\b", re.MULTILINE)
LIMIT = 120


class Mutant(NamedTuple):
    """A patch, the rule that it breaks, the command that must notice."""

    patch: Path
    rule: str
    kill: str


class Trial(NamedTuple):
    """How a command ended: green, red by `culprit`, or neither (it could not do its work)."""

    green: bool
    culprit: str
    output: str


def mutants(names: Sequence[str]) -> Iterator[Mutant]:
    """The named mutants, or all."""
    for patch in [FOLDER / f"{name}.patch" for name in names] or sorted(FOLDER.glob("*.patch")):
        if not patch.exists() or not (header := HEADER.match(patch.read_text())):
            sys.exit(f"{patch.name} is missing, or does not begin with its `rule:` and its `kill:`")
        yield Mutant(patch, header[1], header[2])


def copy_tracked(target: Path) -> Path:
    """Copy what git tracks, as it stands in the work tree."""
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPOSITORY, text=True).split("\0")
    for name in filter(lambda name: (REPOSITORY / name).is_file(), names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target / name)
    return target


def run(call: Sequence[str], tree: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a tree, over the code of that tree."""
    path = os.pathsep.join(map(str, tree.glob("*/*/src")))
    env = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    return subprocess.run(call, cwd=tree, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)


def attempt(command: str, tree: Path) -> Trial:
    """Run a `kill` on the code of a tree."""
    words = shlex.split(command)
    program, *arguments = words if words[0] == "lint-imports" else [*PYTEST, *words]
    try:
        ran = run([str(Path(sys.executable).with_name(program)), *arguments], tree)
    except subprocess.TimeoutExpired:
        return Trial(green=False, culprit="", output=f"no end within {LIMIT} s")
    found = CULPRIT.search(ran.stdout) if ran.returncode == 1 else None
    return Trial(ran.returncode == 0, (found[1] or found[2]) if found else "", ran.stdout + ran.stderr)


def judge(mutant: Mutant, tree: Path, before: Trial) -> tuple[str, str]:
    """What killed a mutant, or why it does not count as killed."""
    applied = run(["git", "apply", str(mutant.patch)], tree)
    if applied.returncode != 0:
        return "", f"the patch no longer applies: {applied.stderr.strip()}"
    if not before.green:
        return "", f"its command is not green without the patch:\n{before.output[-3000:]}"
    trial = attempt(mutant.kill, tree)
    fault = "SURVIVED" if trial.green else f"neither green nor red:\n{trial.output[-3000:]}"
    return trial.culprit, "" if trial.culprit else fault


def main(names: Sequence[str]) -> None:
    """Judge the mutants one after another, a line each; exits with what went wrong."""
    unbroken: dict[str, Trial] = {}
    faults: dict[str, str] = {}
    with TemporaryDirectory(prefix="todo-mutants-") as folder:
        clean, tree = copy_tracked(Path(folder) / "clean"), Path(folder) / "mutant"
        if not (proof := attempt(PROOF, clean)).green:
            sys.exit(f"the copy's code is not what runs:\n{proof.output}")
        for mutant in mutants(names):
            started, name = monotonic(), mutant.patch.stem
            if mutant.kill not in unbroken:
                unbroken[mutant.kill] = attempt(mutant.kill, clean)
            shutil.copytree(clean, tree)
            culprit, fault = judge(mutant, tree, unbroken[mutant.kill])
            shutil.rmtree(tree)
            faults |= {name: fault} if fault else {}
            killer = f"NOT KILLED: {fault.splitlines()[0]}" if fault else culprit
            print(f"{name:38} {mutant.rule:70} {monotonic() - started:5.1f} s  {killer}", flush=True)
    if faults or not unbroken:
        sys.exit("\n".join(f"\n{name}: {fault}" for name, fault in faults.items()) or "there are no mutants")


if __name__ == "__main__":
    main(sys.argv[1:])
