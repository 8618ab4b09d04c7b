"""What benchmarks tell: goals, and what a part of them leaves for the page."""

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from bench import comparison, findings, posts
from bench.chart import drawn
from bench.comparison import Mails, Measured
from bench.counts import Unsound
from bench.figures import Run, at_least, at_most
from bench.findings import Bar, Findings
from bench.report import page
from bench.sides import ECHO
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
