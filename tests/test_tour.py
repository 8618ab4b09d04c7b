"""The tour in docs/api.md, walked: every command is run, every answer is the one that is shown.

`TOUR=write pytest tests/test_tour.py` (`just tour`) writes the answers into the page instead.
"""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from system import System
from test_house import REPOSITORY

PAGE = REPOSITORY / "docs" / "api.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
API = re.compile(r"^API=.*$", re.MULTILINE)
MARK = "---- end of command ----"
WIDTH = 118

# What is another thing each time.
VARIES = [
    (r'"seq":\d+', '"seq":1'),
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "TIME"),
    (r"\b(OTP|AUTH|TODOS):\d+", r"\1:N"),
    (r'"(otp_code|access_token|refresh_token|device_token|next_cursor|ticket)":"[^"]*"', r'"\1":"..."'),
    (r'"position":\d+', '"position":N'),
    (r"(cursor=)[\w-]+", r"\1..."),
    (r'"curl/[\d.]+"', '"curl"'),
    (r"(?m)^(Date|Content-Length): .*$", r"\1: ..."),
]


class Step(NamedTuple):
    """A command of the tour and what it shows."""

    command: str
    shown: str


def steps(block: str) -> list[Step]:
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        length = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        found.append(Step("".join(lines[:length]).rstrip("\n"), "".join(lines[length:])))
    return found


def comparable(text: str) -> str:
    """Without what varies, and without white space: long answers are shown in several lines."""
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return re.sub(r"\s+", "", text)


def is_shown(answer: str, shown: str) -> bool:
    pattern = ".*".join(map(re.escape, comparable(shown).split("...")))
    return re.fullmatch(pattern, comparable(answer)) is not None


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="there is no curl, or no bash")
def test_the_tour_shows_what_is_answered(world: System, tmp_path: Path) -> None:
    text = PAGE.read_text()
    tour = [step for block in BLOCK.findall(text) for step in steps(block)]
    assert len(tour) > 15
    asyncio.run(world.ready("activity", "notifier"))
    answers = walk(tour, world.stack.gateway, tmp_path)
    if any(
        '"status":503' in answer for answer in answers
    ):  # a busy machine was late: every client has to come back then
        answers = walk(tour, world.stack.gateway, tmp_path)
    if os.environ.get("TOUR") == "write":
        rest = iter(answers)
        PAGE.write_text(BLOCK.sub(lambda block: written(block[1], rest), text))
        return
    wrong = [
        f"$ {step.command}\n{answer}\nbut the page shows\n{step.shown}"
        for step, answer in zip(tour, answers, strict=True)
        if not is_shown(answer, step.shown)
    ]
    assert not wrong, "\n".join(wrong) + "\n`just tour` writes the page anew"


def walk(tour: list[Step], gateway: str, folder: Path) -> list[str]:
    """The answers, from one shell: later commands use what earlier ones kept."""
    commands = [API.sub(f"API={gateway}", step.command) for step in tour]
    script = "".join(f"{command}\nprintf '%s\\n' '{MARK}'\n" for command in commands)
    ran = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert not ran.stderr
    answers = ran.stdout.replace("\r", "").split(f"{MARK}\n")
    assert len(answers) == len(tour) + 1
    return answers[:-1]


def written(block: str, answers: Iterator[str]) -> str:
    return "```console\n" + "".join(f"$ {step.command}\n{folded(next(answers))}" for step in steps(block)) + "```"


def folded(answer: str) -> str:
    """As the page shows it: tokens cut short, long lines of JSON broken between two fields."""
    answer = re.sub(r'"(\w+_token)":"([^"]{12})[^"]*"', r'"\1":"\2..."', answer).rstrip("\n")
    lines = [folded_line(line) for line in answer.split("\n")] if answer else []
    return "".join(f"{line}\n" for line in lines)


def folded_line(line: str) -> str:
    cuts = [found.end() for found in re.finditer(r',(?= ?["{])', line) if found.end() <= WIDTH]
    return (
        line
        if len(line) <= WIDTH or not cuts
        else f"{line[: cuts[-1]]}\n{folded_line(' ' + line[cuts[-1] :].lstrip())}"
    )
