"""What the services run with is under licences that are allowed, and what is known against it is told."""

import re
import subprocess
from pathlib import Path

import pytest

from audit.licences import PAGE, RULES, page, permitted, refused, said, stale, used
from audit.vulnerabilities import FILES, REPOSITORY, main
from local.layout import SERVICES

ALLOWED = frozenset(RULES["allowed"])


def test_every_licence_is_allowed_and_the_page_tells_them() -> None:
    users = used()
    assert [*refused(users), *stale(users)] == []
    assert PAGE.read_text() == page(users), "./run audit"


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND LGPL-2.1-only", False),
        ("(GPL-2.0-only OR MIT) AND Apache-2.0", True),
        ("MIT OR Apache-2.0 AND GPL-2.0-only", True),
        ("(MIT OR Apache-2.0) AND GPL-2.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", False),
    ],
)
def test_a_licence_is_allowed_where_a_way_is_left_to_use_only_allowed_ones(expression: str, good: bool) -> None:
    assert permitted(expression, ALLOWED) is good


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """A package `stranger` whose metadata say this."""
    (folder / "stranger-1.0.dist-info").mkdir()
    metadata = f"Metadata-Version: 2.4\nName: stranger\nVersion: 1.0\n{words}\n"
    (folder / "stranger-1.0.dist-info" / "METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("License-Expression: GPL-3.0-only", "stranger is under GPL-3.0-only, which is not allowed"),
        ("Classifier: License :: OSI Approved :: BSD License", "stranger does not say its licence in SPDX's words: "),
        ("License: see the file", "stranger does not say its licence in SPDX's words: "),
    ],
)
def test_a_package_under_another_licence_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, told: str
) -> None:
    install(tmp_path, monkeypatch, words)
    [line] = refused({"stranger": {"auth"}, "uvicorn": {"auth"}})
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("License-Expression: mit", "MIT"),
        ("License: BSD-2-Clause", "BSD-2-Clause"),
        ("License: 3-Clause BSD License", "BSD-3-Clause"),
        ("License: Apache 2\nClassifier: License :: OSI Approved :: Apache Software License", "Apache-2.0"),
    ],
)
def test_a_licence_is_understood_in_the_words_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, meant: str
) -> None:
    install(tmp_path, monkeypatch, told)
    assert said("stranger") == meant


def test_what_was_read_of_a_package_that_says_it_by_now_must_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES["read"], "uvicorn", "BSD-3-Clause")
    monkeypatch.setitem(RULES["read"], "nowhere", "MIT")
    assert sorted(line.split()[0] for line in stale(used())) == ["nowhere", "uvicorn"]


def scanner(folder: Path, pypi: str, osv: str) -> str:
    """A pip-audit that answers as these services do."""
    program = folder / "pip-audit"
    away = "echo requests.exceptions.ConnectionError: no such host >&2; exit 1"
    says = [f"echo '{answer}'" if answer else away for answer in (pypi, osv)]
    program.write_text(f'#!/bin/sh\nif [ "$2" = pypi ]; then {says[0]}; else {says[1]}; fi\n')
    program.chmod(0o755)
    return str(program)


UNKNOWN = '{"dependencies": [{"name": "a", "skip_reason": "not on PyPI"}]}'
CLEAN = '{"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not known"}]}'
BAD = '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}'


@pytest.mark.parametrize(
    ("answers", "code", "told"),
    [
        ((CLEAN, BAD), 0, ["not known to pypi: b", "0 known vulnerabilities in {n} pinned packages, says pypi"]),
        ((BAD, CLEAN), 1, ["a 1: CVE-1, mended in 2", "1 known vulnerabilities in {n} pinned packages, says pypi"]),
        ((UNKNOWN, BAD), 1, ["a 1: CVE-1, mended in 2", "1 known vulnerabilities in {n} pinned packages, says osv"]),
        (
            (UNKNOWN, ""),
            0,
            ["skipped: no service that knows vulnerabilities answers here, nothing was asked about "],
        ),
    ],
)
def test_the_audit_fails_for_what_is_known_and_says_where_nobody_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answers: tuple[str, str], code: int, told: list[str]
) -> None:
    assert main(scanner(tmp_path, *answers)) == code
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(start.format(n=len(FILES))) for line, start in zip(lines, told, strict=True))


def test_an_audit_that_went_wrong_is_not_taken_for_a_service_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"requirements\.lock"):
        main(scanner(tmp_path, "no JSON", "no JSON"))


def test_everything_that_is_pinned_is_asked_about() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    pinned = {name for name in listed.splitlines() if re.search(r"requirements.*[.](txt|lock)$", name)}
    parts = {f"deploy/requirements/{service}.txt" for service in SERVICES}  # of the lock
    assert pinned - parts == set(FILES)
