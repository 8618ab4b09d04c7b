"""`just bench`: run all parts one after another, print the page, and keep it as docs/benchmarks.md."""

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from bench import releases
from bench.chart import drawn
from bench.findings import Findings
from bench.report import bars, machine, page
from local.child import Child
from local.console import say
from local.layout import REPOSITORY

PARTS: Final = {
    "stages": "bench.stages",
    "posts": "bench.posts",
    "peers": "bench.against",
    "lags": "bench.lags",
    "kills": "bench.kills",
    "idle": "bench.idle",
}
_STOPS_WITHIN: Final = 60.0


def main() -> None:
    """Exit with 0 whatever the figures are, with 1 where those of a part would mean nothing."""
    options = _options()
    release = releases.read() if options.check else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    day, rounds = date.today(), 1 if options.quick else options.rounds  # noqa: DTZ011 - the reader's calendar
    found = _measured(options.only, ["--quick"] if options.quick else ["--rounds", str(rounds)])
    is_whole = len(found) == len(PARTS) and not options.quick
    goals = [goal for part in found.values() for goal in part.goals]
    if found:
        _keep(found, page(found, rounds, day), REPOSITORY / ("docs" if is_whole and not release else "var/bench"))
    if options.release and is_whole:
        releases.write(releases.release_of(goals, machine(found), day))
    if release:
        print(releases.compared(goals, release))
    if failed := set(options.only) - set(found):
        sys.exit(f"bench: nothing is known of {', '.join(sorted(failed))}: see above")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure this code on this machine")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--quick", action="store_true", help="one round, and as short as can be")
    guard = parser.add_mutually_exclusive_group()
    guard.add_argument("--check", action="store_true", help="warn where a figure is worse than in the last release")
    guard.add_argument("--release", action="store_true", help="keep the figures as those of the last release")
    options = parser.parse_args()
    if options.release and (options.quick or len(options.only) < len(PARTS)):
        parser.error("a release is measured as a whole: neither --quick nor --only")
    if options.check and not releases.FILE.exists():
        parser.error("there are no figures of a release yet: --release writes them")
    return options


def _measured(names: Sequence[str], arguments: Sequence[str]) -> dict[str, Findings]:
    """What each part found, in the order of `PARTS`, without those that failed; one that did has said why."""
    found = {}
    with TemporaryDirectory(prefix="bench-") as folder:
        for name in sorted(names, key=list(PARTS).index):
            say(f"bench: {name}")
            into = Path(folder) / name
            if _run([sys.executable, "-m", PARTS[name], *arguments, "--into", str(into)]) == 0:
                found[name] = msgspec.json.decode(into.read_bytes(), type=Findings)
    return found


def _keep(found: Mapping[str, Findings], text: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(text)
    if drawable := bars(found):
        (folder / "benchmarks.svg").write_text(drawn(drawable))
    print(text)
    say(f"bench: kept in {folder.relative_to(REPOSITORY)}")


def _run(command: Sequence[str]) -> int:
    """A part's program, its output on our stderr; when this one ends it removes its stack."""
    child = Child(command, output=sys.stderr.fileno(), death=signal.SIGTERM)
    try:
        return child.process.wait()
    finally:
        child.stop(within=_STOPS_WITHIN)


if __name__ == "__main__":
    main()
