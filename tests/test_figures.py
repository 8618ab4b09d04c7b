"""Figures, as an analyst reads them in a stack."""

import os
import subprocess
import sys
from pathlib import Path

from local.fixtures import until
from system import System


async def test_an_analyst_opens_the_figures_of_a_stack_and_nothing_else(world: System) -> None:
    await built(world)
    refused = asked(world, "select count(*) from public.archive")
    assert refused.returncode == 1
    assert "permission denied" in refused.stderr


async def test_an_operator_draws_the_figures_of_a_stack(world: System, tmp_path: Path) -> None:
    await built(world)
    file = tmp_path / "report.html"
    drawn = local(world, "report", "--out", str(file))
    assert (drawn.returncode, drawn.stdout.partition(":")[0]) == (0, str(file))
    assert "</html>" in file.read_text()
    refused = local(world, "report", "--as-of", "yesterday")
    assert (refused.returncode, "neither a position nor a moment" in refused.stderr) == (2, True)


async def built(world: System) -> None:
    """Each projection is there."""
    await until(lambda: asked(world, "select count(*) from analytics.reflected").stdout == "4\n", within=20)


def asked(world: System, query: str) -> subprocess.CompletedProcess[str]:
    return local(world, "psql", "activity", "--as", "analyst", "-XAtc", query)


def local(world: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    env = os.environ | {"PORT_BASE": str(world.stack.layout.port_base)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
