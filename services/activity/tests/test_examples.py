"""docs/analysts.md: what it shows is what is answered, what it says of columns is what the database says.

`TOUR=write pytest services/activity/tests/test_examples.py` (`just tour`) writes the answers into the page instead.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from history import ANN, live
from reporting import keeping

from activity import analytics
from activity.analytics import Analytics
from activity.figures import Figures
from activity.metrics import METRICS
from activity.tables import SQL
from api.app import create_app
from api.testing import People, serving
from events.clock import system_clock
from events.health import Health
from local.cluster import Cluster, connection_environment, psql_program
from local.fixtures import DatabaseFactory
from local.layout import REPOSITORY

PAGE = REPOSITORY / "docs" / "analysts.md"
MARK = "---- end of example ----"
# A command after `$ `, with what it prints; or a program in Python, with what it prints in the block after it.
EXAMPLE = re.compile(
    r"^```console\n\$ (?P<command>(?:.*\\\n)*.*\n)(?P<printed>(?:.*\n)*?)```$"
    r"|^```python\n(?P<program>(?:.*\n)*?)```\n\n```text\n(?P<said>(?:.*\n)*?)```$",
    re.MULTILINE,
)


class Example(NamedTuple):
    """What is run, and what the page says that it prints."""

    script: str
    shown: str


def examples(text: str) -> list[Example]:
    return [
        Example(found["command"], found["printed"])
        if found["command"]
        else Example(f"python - <<'PROGRAM'\n{found['program']}PROGRAM\n", found["said"])
        for found in EXAMPLE.finditer(text)
    ]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="there is no curl, or no bash")
async def test_the_examples_show_what_is_answered(database: DatabaseFactory, postgres: Cluster, tmp_path: Path) -> None:
    text = PAGE.read_text()
    shown = examples(text)
    assert len(shown) == text.count("```console") + text.count("```python") > 8
    activity, people = database("activity"), People()
    async with keeping(activity.url) as diary:
        await live(diary)
        parts = {"analytics": Analytics(Figures(diary.pool), system_clock)}
        app = create_app(title="Activity", routes=analytics.ROUTES, health=Health(), guard=people.guard, parts=parts)
        async with serving(app) as http:
            given = {"API": str(http.base_url).rstrip("/"), "TOKEN": people.token(ANN, roles=["analyst"])}
            environment = connection_environment(postgres.url(activity.name, "analyst")) | given
            printed = await asyncio.to_thread(run, shown, tmp_path, environment)
    if os.environ.get("TOUR") == "write":
        rest = iter(printed)
        PAGE.write_text(EXAMPLE.sub(lambda found: written(found, rest), text))
        return
    assert [example.shown for example in shown] == printed, "`just tour` writes the page anew"


def run(shown: list[Example], folder: Path, environment: dict[str, str]) -> list[str]:
    """What they print, one after another in one folder: later ones read the files of earlier ones."""
    places = (str(psql_program().parent), str(Path(sys.executable).parent), environment["PATH"])
    environment |= {"PATH": os.pathsep.join(places), "PSQLRC": os.devnull, "PGTZ": "UTC", "LC_ALL": "C.UTF-8"}
    script = "".join(f"{example.script}\necho '{MARK}'\n" for example in shown)
    ran = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert not ran.stderr, ran.stderr
    answers = re.sub(r"[ \r]+$", "", ran.stdout, flags=re.MULTILINE).split(f"{MARK}\n")
    assert len(answers) == len(shown) + 1
    return [answer.rstrip("\n") + "\n" for answer in answers[:-1]]


def written(found: re.Match[str], answers: Iterator[str]) -> str:
    if found["command"]:
        return f"```console\n$ {found['command']}{next(answers)}```"
    return f"```python\n{found['program']}```\n\n```text\n{next(answers)}```"


async def test_every_column_of_every_view_is_described(database: DatabaseFactory) -> None:
    connection = await asyncpg.connect(database("activity").url)
    columns = await connection.fetch(SQL.columns)
    views = await connection.fetch(
        "select relname, obj_description(oid) as meaning from pg_class where relnamespace = 'analytics'::regnamespace"
    )
    await connection.close()
    assert {row["relname"] for row in views} == {"reflected", *METRICS}
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    missing = [row["relname"] for row in views if row["meaning"] not in flat(sections[row["relname"]])]
    missing += [
        f"| `{row['name']}` | {row['type']} | {row['meaning']} |"
        for row in columns
        if f"| `{row['name']}` | {row['type']} | {row['meaning']} |" not in sections[row["view"]]
    ]
    assert missing == []


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)
