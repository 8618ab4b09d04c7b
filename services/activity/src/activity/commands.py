"""What operators do with figures, from a shell: build them anew, take that back, have them counted anew or drawn."""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
from tqdm import tqdm

from activity.analytics import as_of_of
from activity.builds import rebuild, roll_back
from activity.evidence import Seals, Unsealed
from activity.figures import AsOf, Beyond, NotYet
from activity.projections import PROJECTIONS, Report, newest
from activity.recount import look_through, recount
from activity.spotcheck import spot_check
from api.problems import Problem

COMMANDS: Final = ("rebuild", "rollback", "verify", "seal", "report")
SAMPLE: Final = 100
DAYS: Final = 92


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m activity")
    commands = parser.add_subparsers(dest="command", required=True)
    anew = commands.add_parser("rebuild", help="build figures anew from the archive, beside those that are shown")
    anew.add_argument("name", choices=[*PROJECTIONS, "all"], help="which figures")
    anew.add_argument("--version", type=int, help="the version of their definition (the newest)")
    anew.add_argument("--accept", action="store_true", help="show them also where they differ within a version")
    back = commands.add_parser("rollback", help="show again what was shown before the last rebuild")
    back.add_argument("name", choices=list(PROJECTIONS), help="which figures")
    check = commands.add_parser(
        "verify", help="look through the archive, and count some people's days and some events anew"
    )
    check.add_argument("--sample", type=int, default=SAMPLE, help=f"how many people, and how many events ({SAMPLE})")
    commands.add_parser("seal", help="sign what the archive holds now, and keep the seal in SEAL_DIR")
    drawn = commands.add_parser("report", help="write everybody's figures as one HTML page with charts")
    drawn.add_argument("--out", type=Path, default=Path("report.html"), help="the file (report.html)")
    drawn.add_argument("--as-of", type=_as_of, help="a position as 1234, or a moment as 2026-11-28T09:00:00Z (now)")
    drawn.add_argument("--days", type=int, default=DAYS, help=f"how many days back ({DAYS})")
    return parser


def _as_of(text: str) -> AsOf:
    try:
        return as_of_of(text)
    except Problem:
        raise argparse.ArgumentTypeError("neither a position nor a moment with its offset") from None


@contextmanager
def _progress(name: str) -> Iterator[Report]:
    """A bar on stderr, with rate and time left."""
    with tqdm(desc=name, unit=" events", unit_scale=True) as bar:

        def report(position: int, end: int) -> None:
            bar.total = end
            bar.update(position - bar.n)

        yield report


async def obey(pool: asyncpg.Pool, arguments: Sequence[str], seals: Seals | None = None) -> int:
    """Do what was asked for; the process's exit code: 1 where something is wrong, 2 for what was not understood."""
    options = _parser().parse_args(arguments)
    match options.command:
        case "rebuild":
            names = list(PROJECTIONS) if options.name == "all" else [options.name]
            done = [
                await _rebuild(pool, name, options.version or newest(name), accept=options.accept) for name in names
            ]
            return 0 if all(done) else 1
        case "rollback":
            return await _roll_back(pool, options.name)
        case "report":
            return await _report(pool, options.out, options.as_of, options.days)
        case "seal":
            return await _seal(seals)
        case _:
            return await _verify(pool, options.sample, seals)


async def _rebuild(pool: asyncpg.Pool, name: str, version: int, *, accept: bool) -> bool:
    if version not in PROJECTIONS[name]:
        sys.stderr.write(f"{name} has no version {version}; there are {', '.join(map(str, PROJECTIONS[name]))}\n")
        return False
    with _progress(name) as report:
        done = await rebuild(pool, name, version, report, accept=accept)
    for each in done.differences:
        sys.stdout.write(f"{name}: {each.rows:,} rows of {each.table} differ, the first at {each.first:,}\n")
    if done.is_shown:
        sys.stdout.write(f"{name}: version {version} is shown, as of {done.position:,}\n")
    else:
        sys.stdout.write(f"{name}: left beside what is shown; --accept shows it\n")
    return done.is_shown


async def _roll_back(pool: asyncpg.Pool, name: str) -> int:
    try:
        with _progress(name) as report:
            position = await roll_back(pool, name, report)
    except LookupError as error:
        sys.stderr.write(f"{error.args[0]}\n")
        return 1
    sys.stdout.write(f"{name}: what was shown before is shown, as of {position:,}\n")
    return 0


async def _report(pool: asyncpg.Pool, out: Path, as_of: AsOf, days: int) -> int:
    try:
        from activity.overview import overview, page_of  # noqa: PLC0415 - what it draws with is an extra
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error.name} is missing: pip install 'todo-activity[report]'\n")
        return 1
    try:
        told = await overview(pool, as_of, datetime.now(UTC), days)
        await asyncio.to_thread(out.write_text, page_of(told), encoding="utf-8")
    except Beyond:
        sys.stderr.write("--as-of lies in the future\n")
    except NotYet as error:
        sys.stderr.write(f"figures have only come to {error.args[0]:,} yet\n")
    except OSError as error:
        sys.stderr.write(f"{out}: {error.strerror}\n")
    else:
        sys.stdout.write(f"{out}: figures as of {told.position:,}\n")
        return 0
    return 1


async def _seal(seals: Seals | None) -> int:
    if seals is None:
        sys.stderr.write("set SEAL_DIR and SEAL_KEYS: where seals are kept, and what signs them\n")
        return 1
    try:
        seal = await seals.seal()
    except Unsealed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"sealed up to {seal.statement.number:,}\n" if seal else "nothing came since the last seal\n")
    return 0


async def _verify(pool: asyncpg.Pool, sample: int, seals: Seals | None) -> int:
    findings = [
        *await look_through(pool, "activity"),
        *(await seals.look_through() if seals else []),
        *await recount(pool, sample),
        *await spot_check(pool, sample),
    ]
    for each in findings:
        sys.stdout.write(f"{'wrong' if each.wrong else 'ok':5} {each.about}{f': {each.wrong}' if each.wrong else ''}\n")
    return 1 if any(each.wrong for each in findings) else 0
