"""Has pip-audit ask for known vulnerabilities of all that is pinned: `python -m audit.vulnerabilities PIP_AUDIT`.

Asks PyPI, or where that does not answer OSV; OSV_URL names another service that speaks as OSV does. Where none
answers, it says so and fails nothing: an outage, or a machine without a way out, is no vulnerability.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = (
    "requirements.lock",
    "deploy/requirements/build.txt",
    "bench/peers/requirements.txt",
    "bench/peers/eventsourcing.requirements.txt",
    "deploy/chart/tests/requirements.txt",
    "deploy/chart/tests/policy/requirements.txt",
    "tests/audit/requirements.txt",
    "tests/images/requirements.txt",
)
AWAY = re.compile("blocking this service|ConnectionError|ReadTimeout|ServiceError")
"""What pip-audit says of a service that it cannot reach."""


def main(pip_audit: str) -> int:
    own = os.environ.get("OSV_URL")
    services = [("osv", "--osv-url", own)] if own else [("pypi",), ("osv",)]
    for service in services:
        told = [each for file in FILES for each in ask(pip_audit, service, file)]
        known = [each for each in told if "vulns" in each]
        if known:
            return judge(known, [each for each in told if "vulns" not in each], service[0])
    print("skipped: no service that knows vulnerabilities answers here, nothing was asked about what is pinned")
    return 0


def ask(pip_audit: str, service: Sequence[str], file: str) -> list[dict[str, Any]]:
    """What the service says of each package in a file, with `vulns`, or `skip_reason` for one that it does not know.

    Nothing where it cannot be reached; raises `RuntimeError` where something else went wrong.
    """
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", "10", "--format", "json"]
    command = [pip_audit, "--vulnerability-service", *service, *options, "--requirement", file]
    done = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    try:
        told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        if AWAY.search(done.stderr):
            return []
        raise RuntimeError(f"pip-audit on {file}: {done.stderr.strip()[-500:]}") from None
    return told


def judge(known: list[dict[str, Any]], unknown: list[dict[str, Any]], service: str) -> int:
    """Tell what was found; 1 where something was."""
    found = {
        f"{each['name']} {each['version']}: {bug['id']}, mended in {', '.join(bug['fix_versions']) or 'no version'}"
        for each in known
        for bug in each["vulns"]
    }
    for line in sorted(found):
        print(line)
    if unknown:
        print(f"not known to {service}: {', '.join(sorted({each['name'] for each in unknown}))}")
    print(f"{len(found)} known vulnerabilities in {len(known)} pinned packages, says {service}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
