"""Figures, as an analyst reads them in a stack."""

import os
import subprocess
import sys

from local.fixtures import until
from system import System


async def test_an_analyst_opens_the_figures_of_a_stack_and_nothing_else(world: System) -> None:
    await until(lambda: asked(world, "select count(*) from analytics.reflected").stdout == "4\n", within=20)
    refused = asked(world, "select count(*) from public.archive")
    assert refused.returncode == 1
    assert "permission denied" in refused.stderr


def asked(world: System, query: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", "psql", "activity", "--as", "analyst", "-XAtc", query]
    env = os.environ | {"PORT_BASE": str(world.stack.layout.port_base)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
