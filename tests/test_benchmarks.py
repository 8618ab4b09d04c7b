"""What benchmarks tell: goals, and what a part of them leaves for the page."""

import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from bench import __main__ as whole
from bench import comparison, findings, posts, releases
from bench.chart import drawn
from bench.comparison import Mails, Measured
from bench.counts import Unsound
from bench.figures import Run, at_least, at_most, spread
from bench.findings import Bar, Findings
from bench.releases import Figure, Release, compared, release_of
from bench.report import page
from bench.rivals import ECHO
from bench.singles import PLAIN


@pytest.mark.parametrize(
    ("goal", "told"),
    [
        (at_least("ours to theirs", [3, 4, 9], 4), "met: ours to theirs, at least 4: 4.00 (3.00-9.00)"),
        (at_least("ours to theirs", [3, 3.9, 9], 4), "missed: ours to theirs, at least 4: 3.90 (3.00-9.00)"),
        (at_most("lag in ms", [15], 15), "met: lag in ms, at most 15: 15.0"),
        (at_most("lost", [1], 0), "missed: lost, at most 0: 1.00"),
    ],
)
def test_a_goal_is_for_the_median_of_its_values(goal, told):
    assert str(goal) == told


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr("bench.findings.signal.signal", lambda *_: None)

    def run(measure, *arguments: str) -> None:
        monkeypatch.setattr("sys.argv", ["bench.part", *arguments])
        parser = ArgumentParser()
        parser.add_argument("--seconds", type=float, default=8)
        findings.run(parser, measure, seconds=1)

    return run


def test_a_part_is_told_and_kept_with_all_values_of_its_goals(run, tmp_path: Path, capsys):
    found = Findings(text="## Part", goals=[at_least("ours to theirs", [3, 4, 9], 4)], machine={"cores": "2"})

    run(lambda _: found, "--into", str(tmp_path / "found.json"))

    told = capsys.readouterr().out
    assert told.startswith("## Part\n\n| machine | ")
    assert told.endswith("\n\n- met: ours to theirs, at least 4: 4.00 (3.00-9.00)\n")
    kept = (tmp_path / "found.json").read_bytes()
    assert msgspec.json.decode(kept, type=Findings) == found
    [goal] = msgspec.json.decode(kept)["goals"]
    assert goal == {"text": "ours to theirs", "values": [3, 4, 9], "kind": "at least", "bound": 4}


def test_figures_that_would_mean_nothing_are_not_told(run, tmp_path: Path, capsys):
    def measure(_):
        raise Unsound("counts differ")

    with pytest.raises(SystemExit, match="counts differ"):
        run(measure, "--into", str(tmp_path / "found.json"))
    assert not capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "rounds", "seconds"),
    [((), 5, 8), (("--quick",), 1, 1), (("--quick", "--rounds", "2"), 2, 1), (("--seconds", "3"), 5, 3)],
)
def test_a_quick_look_is_one_round_of_a_second_where_nothing_else_is_said(run, arguments, rounds, seconds):
    def measure(options):
        assert (options.rounds, options.seconds) == (rounds, seconds)
        return Findings(text="", goals=[])

    run(measure, *arguments)


def test_the_page_tells_all_goals_first_and_the_machine_as_the_first_part_met_it():
    stages = Findings(text="## Stages", goals=[at_least("ours to theirs", [3, 4, 9], 4)], machine={"load": "0.1"})
    kills = Findings(text="## Kills", goals=[at_most("lost", [2], 0)])
    lags = Findings(text="## Lags", goals=[], machine={"load": "1.9"})

    text = page({"kills": kills, "stages": stages, "lags": lags}, rounds=3, day=date(2026, 1, 2))

    assert "on 2026-01-02, rounds: 3," in text
    assert "0.1" in text
    assert "1.9" not in text
    goals, *parts = text.partition("## Goals")[2].split("## ")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in goals.strip().splitlines()[2:]]
    assert rows == [
        ["kills", "lost", "at most 0", "2.00", "missed"],
        ["stages", "ours to theirs", "at least 4", "4.00 (3.00-9.00)", "met"],
    ]
    assert [part.strip() for part in parts] == ["Kills", "Stages", "Lags"]


def _run(rate: float, p99: float) -> Run:
    return Run(answered=int(rate), seconds=1, p50=1, p99=p99)


def test_posts_are_held_to_the_echo_and_to_pgbench_where_there_is_one():
    runs = {
        posts.PIPELINE: [_run(900, 9)],
        posts.POST: [_run(1_500, 6)],
        posts.ECHO: [_run(2_000, 2)],
        PLAIN: [_run(1_000, 4)],
    }

    assert [str(goal) for goal in posts.goals(runs)] == [
        "met: POST /todos/, API role alone, to POST /echo, at least 0.75: 0.750",
        "met: p99 of POST /todos/, API role alone, to that of POST /echo, at most 3: 3.00",
        "met: POST /todos/, everything behind it running too, to pgbench, a plain transaction, at least 0.9: 0.900",
        "met: POST /todos/, API role alone, to pgbench, a plain transaction, at least 1.2: 1.50",
    ]
    del runs[PLAIN]
    assert len(posts.goals(runs)) == 2


def _measured(rate: float) -> Measured:
    return Measured(run=_run(rate, 5), memory=1, cpu=1, mails=Mails(under_load=1, per_connection=rate, afterwards=0))


def test_each_peer_is_drawn_and_has_a_goal_where_one_is_set():
    rates = {comparison.ALONE: 4_000, comparison.PIPELINE: 2_000, "background": 200, "threaded": 250, ECHO: 9_000}
    posted = {name: [_measured(rate)] for name, rate in rates.items()}

    found = comparison.findings({}, posted, {0: {}, 50: {}})

    assert [(bar.panel, bar.peer, bar.values, bar.goal) for bar in found.bars] == [
        ("POST /todos/, ours, API role alone", "background", [20], 10),
        ("POST /todos/, ours, API role alone", "threaded", [16], None),
        ("POST /todos/, ours, everything behind it running too", "background", [10], 10),
        ("POST /todos/, ours, everything behind it running too", "threaded", [8], None),
    ]
    assert [str(goal) for goal in found.goals] == [
        "met: POST /todos/, ours, API role alone, to background, at least 10: 20.0",
        "met: POST /todos/, ours, everything behind it running too, to background, at least 10: 10.0",
    ]


def test_mails_are_those_of_everything_behind_beside_the_best_peers_where_there_is_one():
    ours = {comparison.ALONE: [_measured(900)], comparison.PIPELINE: [_measured(30)]}
    beside = ours | {"background": [_measured(10)], "threaded": [_measured(20)]}

    assert comparison.findings({}, {}, {0: ours, 50: {}}).goals == []
    assert [str(goal) for goal in comparison.findings({}, {}, {0: beside, 50: {}}).goals] == [
        "met: request-otp, mail in 0 ms, ours, API role alone, to background, at least 8: 90.0",
        "missed: request-otp, mail in 0 ms, ours, everything behind it running too, to background, at least 8: 3.00",
        "met: mails a connection-second to the best peer's, mail in 0 ms, at least 1.5: 1.50",
    ]


def test_the_chart_has_a_bar_for_each_peer_and_a_mark_for_each_goal():
    bars = [
        Bar(panel="POST", peer="background", values=[9, 11, 12], goal=10),
        Bar(panel="POST", peer="threaded", values=[0.5], goal=None),
        Bar(panel="codes", peer="background", values=[250], goal=250),
    ]

    svg = ElementTree.fromstring(drawn(bars))

    words = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"POST", "codes", "background", "threaded", "11.0", "0.500", "250"} <= set(words)
    fills = [path.get("fill") for path in svg.iter("{http://www.w3.org/2000/svg}path")]
    assert (fills.count("#3f83c4"), fills.count("#d9822b")) == (3, 2)


RELEASED = Figure(median=10, least=9, greatest=11)


@pytest.mark.parametrize(
    ("goal", "is_worse"),
    [
        (at_least("x", [9.5, 10, 10.5], 4), False),  # as it was
        (at_least("x", [20, 21, 22], 4), False),  # better
        (at_least("x", [7.6, 8, 8.5], 4), False),  # beyond the noise, but by less than a quarter
        (at_least("x", [6, 7, 9], 4), False),  # by more than a quarter, but the spreads meet
        (at_least("x", [6, 7, 8.9], 4), True),
        (at_least("x", [7.5], 4), False),  # by a quarter exactly
        (at_least("x", [7.4], 8), True),  # whether a goal is met is another question
        (at_most("x", [9.5, 10, 10.5], 4), False),
        (at_most("x", [1, 2, 3], 4), False),
        (at_most("x", [11.5, 12, 12.4], 4), False),
        (at_most("x", [11, 13, 20], 4), False),
        (at_most("x", [11.1, 13, 20], 40), True),
        (at_most("x", [12.5], 4), False),
    ],
)
def test_a_figure_warns_where_it_is_worse_by_more_than_a_quarter_and_beyond_the_noise(goal, is_worse):
    release = Release(day=date(2026, 1, 2), machine={}, goals={"x": RELEASED})

    found = compared([goal], release)

    assert found.worse == [f"warning: x: {spread(goal.values)}, 10.0 (9.00-11.0) on 2026-01-02"] * is_worse
    assert str(found).splitlines()[-1].startswith(f"{int(is_worse)} warned: ")


def test_what_was_nought_warns_once_it_is_not():
    release = Release(day=date(2026, 1, 2), machine={}, goals={"lost": Figure(median=0, least=0, greatest=0)})

    assert not compared([at_most("lost", [0], 0)], release).worse
    assert compared([at_most("lost", [1], 0)], release).worse


def test_new_goals_and_those_that_were_not_measured_are_told_and_warn_of_nothing():
    release = Release(day=date(2026, 1, 2), machine={}, goals={"b": RELEASED, "a": RELEASED})

    told = str(compared([at_least("c", [1], 4)], release))

    assert told.splitlines()[:-1] == ["not in the release: c", "not measured now: a; b"]
    assert told.splitlines()[-1].startswith("0 warned: ")


def test_a_release_is_read_as_it_was_written(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(releases, "FILE", tmp_path / "ratios.json")
    release = release_of([at_least("x", [3, 12.34567, 9], 4)], {"cores": "2"}, date(2026, 1, 2))

    releases.write(release)

    assert releases.read() == release
    assert release.goals == {"x": Figure(median=9, least=3, greatest=12.35)}


@pytest.mark.parametrize(
    "arguments", [["--release", "--quick"], ["--release", "--only", "idle"], ["--release", "--check"], ["--check"]]
)
def test_nothing_is_measured_where_it_could_not_be_kept_or_compared(arguments, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(releases, "FILE", tmp_path / "ratios.json")
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    monkeypatch.setattr(whole, "_measured", lambda *_: pytest.fail("it was measured"))

    with pytest.raises(SystemExit, match="2"):
        whole.main()


_FLUSHES = """
import os, tempfile, time
with tempfile.TemporaryFile() as file:
    started = time.monotonic()
    os.fsync(file.fileno()), os.fdatasync(file.fileno())
print(time.monotonic() - started)
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler (cc) on the PATH")
def test_on_a_slow_disk_each_flush_takes_so_much_longer(run):
    took = []

    def measure(_: Namespace) -> Findings:
        took.append(float(subprocess.check_output([sys.executable, "-c", _FLUSHES])))
        return Findings(text="## Part", goals=[])

    run(measure, "--flush", "50")
    assert took[0] >= 0.1
    assert "LD_PRELOAD" not in os.environ


def test_a_slow_disk_without_a_compiler_says_what_to_do(run, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as ended:
        run(lambda _: Findings(text="## Part", goals=[]), "--flush", "2")
    assert "install one, or leave --flush out" in str(ended.value)


@pytest.fixture
def bench(monkeypatch, tmp_path: Path):
    """`python -m bench` in an empty repository, where each part finds a ratio."""
    monkeypatch.setattr(whole.signal, "signal", lambda *_: None)
    monkeypatch.setattr(whole, "REPOSITORY", tmp_path)
    monkeypatch.setattr(releases, "FILE", tmp_path / "ratios.json")

    def bench(*arguments: str, ratio: float = 10, failing: str = "") -> set[str]:
        """The files that it wrote."""
        bars = [Bar(panel="POST", peer="background", values=[ratio], goal=None)]

        def measured(names, _):
            return {
                name: Findings(text="## Part", goals=[at_least(name, [ratio], 1)], bars=bars)
                for name in names
                if name != failing
            }

        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
        monkeypatch.setattr(whole, "_measured", measured)
        monkeypatch.setattr("sys.argv", ["bench", *arguments])
        with pytest.raises(SystemExit, match=failing) if failing else nullcontext():
            whole.main()
        written = {path for path in tmp_path.rglob("*.*") if before.get(path) != path.stat().st_mtime_ns}
        return {str(path.relative_to(tmp_path)) for path in written}

    return bench


KEPT = {"docs/benchmarks.md", "docs/benchmarks.svg"}
LOOK = {"var/bench/benchmarks.md", "var/bench/benchmarks.svg"}


def test_the_page_is_kept_where_all_parts_were_measured_in_full(bench):
    assert bench() == KEPT
    assert bench("--rounds", "3") == KEPT
    assert bench("--quick") == LOOK
    assert bench("--only", "idle") == LOOK
    assert bench(failing="kills") == LOOK


def test_a_release_is_kept_and_what_comes_after_is_checked_by_it(bench, capsys):
    assert bench("--release", failing="kills") == LOOK
    assert bench("--release") == {*KEPT, "ratios.json"}
    assert bench("--check") == LOOK
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 warned: ")
    assert bench("--check", "--only", "idle", ratio=1) == LOOK
    assert capsys.readouterr().out.splitlines()[-3].startswith("warning: idle: 1.00, 10.0 (10.0-10.0) on ")
