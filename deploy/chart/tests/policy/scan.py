"""Checkov over the golden files, which are what every profile renders to: `./run chart-policy`.

Each finding is mended in the templates, or accepted in accepted.toml with a reason.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "golden"
PLANTED = "planted.yaml"
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: planted}
spec: {containers: [{name: planted, image: planted, securityContext: {privileged: true}}]}
"""
"""Beside the golden files, so that a scanner that finds nothing is seen."""
PRIVILEGED = "CKV_K8S_16"


def main() -> int:
    findings = scan()
    if (f"/{PLANTED}", PRIVILEGED) not in {(each["file_path"], each["check_id"]) for each in findings}:
        print("a privileged pod, planted beside the golden files, was not found")
        return 1
    accepted = tomllib.loads((HERE / "accepted.toml").read_text())
    ours = [each for each in findings if each["file_path"] != f"/{PLANTED}"]
    new = [each for each in ours if each["check_id"] not in accepted]
    gone = accepted.keys() - {each["check_id"] for each in ours}
    for each in new:
        print(f"{each['check_id']} {each['check_name']}: {each['resource']} in golden{each['file_path']}")
    for name in sorted(gone):
        print(f"{name} is accepted in accepted.toml and found no longer: take the entry out")
    told = ", ".join(f"{name} {count}" for name, count in sorted(Counter(each["check_id"] for each in ours).items()))
    print(f"{len(new)} findings that nobody explained; accepted: {told}")
    return 1 if new or gone else 0


def scan() -> list[dict[str, Any]]:
    """What Checkov says against the golden files and the planted one; raises if it could not read one."""
    with tempfile.TemporaryDirectory() as folder:
        for file in GOLDEN.glob("*.yaml"):
            shutil.copy(file, folder)
        Path(folder, PLANTED).write_text(POD)
        checkov = Path(sys.executable).with_name("checkov")
        options = ["--framework", "kubernetes", "--skip-download", "--compact", "--soft-fail", "--output", "json"]
        done = subprocess.run([checkov, "--directory", folder, *options], check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    if told["summary"]["parsing_errors"]:
        raise ValueError(f"not read: {told['results']['parsing_errors']}")
    failed: list[dict[str, Any]] = told["results"]["failed_checks"]
    return failed


if __name__ == "__main__":
    sys.exit(main())
