"""Writes docs/licences.md from what is installed: `python -m audit.licences write`; without `write` compares."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import metadata, requires
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "licences.md"
RULES = tomllib.loads(Path(__file__).with_name("licences.toml").read_text())
PLACES = ("services/*", "deploy/ops")
"""What runs where the services do."""
OURS = "todo-"
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
PLAIN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
}
"""Other words that leave no doubt; "BSD License" does."""
HEAD = """\
# Licences

`./run audit` writes this from the installed packages: what a service (activity: with `report`) and `todo-ops` run with.
Versions are in [requirements.lock](../requirements.lock). What a wheel holds of other people's is told in its notice.

Allowed: {allowed}.

A licence with * was [read](../tests/audit/licences.toml): the package's metadata do not say it in SPDX's words.

| package | licence | run by |
|---|---|---|
"""


class Unread(Exception):
    """A package whose metadata do not say its licence in SPDX's words: read it, and note it in licences.toml."""


def main() -> int:
    users = used()
    wrong = sorted({*refused(users), *stale(users)})
    for line in wrong:
        print(line)
    text = page(users) if not wrong else ""
    if text and sys.argv[1:] == ["write"]:
        PAGE.write_text(text)
    return 1 if wrong or PAGE.read_text() != text else 0


def used() -> dict[str, set[str]]:
    """Each package of others that something of ours runs with, and what that is."""
    users: dict[str, set[str]] = {}
    for pattern in PLACES:
        for project in REPOSITORY.glob(f"{pattern}/pyproject.toml"):
            for name in _closure(project.parent.name):
                users.setdefault(name, set()).add(project.parent.name)
    return users


def _closure(ours: str) -> set[str]:
    todo = [(f"{OURS}{ours}", extra) for extra in ("", "report")]
    seen: set[tuple[str, str]] = set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) not in seen:
            seen.add((name, extra))
            todo += _needs(name, extra)
    return {name for name, _ in seen if not name.startswith(OURS)}


def _needs(name: str, extra: str) -> Iterator[tuple[str, str]]:
    """What a package needs on Linux, for itself or for one of its extras."""
    for each in map(Requirement, requires(name) or []):
        if each.marker is None or each.marker.evaluate({**LINUX, "extra": extra}):
            for wanted in ("", *each.extras):
                yield canonicalize_name(each.name), wanted


def said(name: str) -> str:
    """The SPDX expression that a package gives as its licence; raises `Unread` where it gives none."""
    told = metadata(name).json
    for field in ("license_expression", "license"):
        text = str(told.get(field, ""))
        try:
            return str(canonicalize_license_expression(PLAIN.get(text, text)))
        except InvalidLicenseExpression:
            pass
    found = {each for each in told.get("classifier", []) if each.startswith("License :: OSI")}
    if len(found) == 1 and found <= PLAIN.keys():
        return PLAIN[found.pop()]
    raise Unread(name)


def licence(name: str) -> str:
    """What a package says, or what we read in it; raises `Unread`."""
    try:
        return said(name)
    except Unread:
        if name in RULES["read"]:
            return str(RULES["read"][name])
        raise


def permitted(expression: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression leaves a way to use only licences that are allowed."""
    tokens = re.findall(r"[()]|[^\s()]+(?: WITH [^\s()]+)?", expression)

    def either() -> bool:
        good = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            good = both() or good
        return good

    def both() -> bool:
        good = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            good = one() and good
        return good

    def one() -> bool:
        token = tokens.pop(0)
        if token != "(":
            return token in allowed
        good = either()
        tokens.pop(0)
        return good

    return either()


def refused(names: dict[str, set[str]]) -> Iterator[str]:
    for name in names:
        try:
            if not permitted(licence(name), frozenset(RULES["allowed"])):
                yield f"{name} is under {licence(name)}, which is not allowed"
        except Unread:
            yield f"{name} does not say its licence in SPDX's words: read it, and note it in tests/audit/licences.toml"


def stale(names: dict[str, set[str]]) -> Iterator[str]:
    """What we read of packages that say it by now, or that nobody runs."""
    for name in RULES["read"]:
        try:
            if name not in names or said(name):
                yield f"{name} need not stand in tests/audit/licences.toml any longer"
        except Unread:
            pass


def page(names: dict[str, set[str]]) -> str:
    def row(name: str) -> str:
        mark = " *" if name in RULES["read"] else ""
        return f"| {name} | {licence(name)}{mark} | {', '.join(sorted(names[name]))} |\n"

    return HEAD.format(allowed=", ".join(RULES["allowed"])) + "".join(row(name) for name in sorted(names))


if __name__ == "__main__":
    sys.exit(main())
