"""What benchmarks tell: goals, and what a part of them leaves for the page."""

from argparse import ArgumentParser
from pathlib import Path

import msgspec
import pytest
from bench import findings
from bench.counts import Unsound
from bench.figures import at_least, at_most
from bench.findings import Findings


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
