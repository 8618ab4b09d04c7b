"""Does the fault suite notice a broken rule? Mutants of tests/mutants and the faults that must find each.

`just faults-planted [NAME ...]` plants each into a copy, and lets the faults run until the first run that is not as
promised. tests/mutants asks the same of every rule and its test; here a few of them stand for their class.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final, NamedTuple

from mutants.run import FOLDER, copy_tracked

SEED: Final = 7000
_RUNS, _MINUTES = 24, 8


class Plant(NamedTuple):
    """A mutant by its name in tests/mutants, its class, the faults that are to find it."""

    mutant: str
    kind: str
    faults: tuple[str, ...]


PLANTS: Final = (
    Plant("relay-naive-cursor", "a cursor instead of numbers", ("stream-deleted", "older-store", "power-cut-nats")),
    Plant("consumer-checkpoint-apart", "checkpoint outside the transaction", ("kill-on-slow-link",)),
    Plant("log-key-not-kept", "a retry that counts as new", ("cut-link-gateway",)),
    Plant("log-new-ids-at-a-retry", "a retry under new ids", ("cut-link-postgres",)),
    Plant("postgres-without-fsync", "acknowledged before it is durable", ("power-cut-postgres",)),
    Plant("consumer-pull-not-remade", "trust in what a server remembers", ("consumers-deleted", "kill-nats")),
    Plant("work-doubtful-queued", "a letter in doubt sent as if it were new", ("kill-mailer",)),
    Plant("mail-unknown-sent-again-and-again", "no end to sending again", ("mail-server-drops",)),
)


def find(plant: Plant, tree: Path) -> str:
    """What the suite says of a copy with this mutant in it; empty where it notices nothing."""
    applied = subprocess.run(
        ["git", "apply", FOLDER / f"{plant.mutant}.patch"], cwd=tree, capture_output=True, text=True, check=False
    )
    if applied.returncode:
        sys.exit(f"{plant.mutant} does not apply: {applied.stderr.strip()}")
    path = os.pathsep.join(map(str, (*tree.glob("*/*/src"), tree / "tests")))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    faults = [word for fault in plant.faults for word in ("--fault", fault)]
    limits = ["--seed", str(SEED), "--runs", str(_RUNS), "--minutes", str(_MINUTES), "--first"]
    done = subprocess.run(
        [sys.executable, "-m", "faults", *limits, *faults],
        cwd=tree, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"^\S+ (\S+) +(seed \d+): .*NOT AS PROMISED\n +(.*)$", done.stdout, re.MULTILINE)
    return f"{found[1]}, {found[2]}: {found[3]}" if found else ""


def main(names: list[str]) -> int:
    """Plant one after the other, a row of a table each; 1 where one was not found."""
    missed = 0
    print("| planted | class | found by | after |\n|---|---|---|--:|")
    for plant in PLANTS:
        if names and plant.mutant not in names:
            continue
        with TemporaryDirectory(prefix="todo-planted-") as folder:
            begun = monotonic()
            found = find(plant, copy_tracked(Path(folder)))
            missed += not found
            print(
                f"| {plant.mutant} | {plant.kind} | {found or 'NOT FOUND'} | {monotonic() - begun:.0f} s |", flush=True
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
