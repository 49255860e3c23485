"""The engine's table: its arithmetic on made-up timings, and what its command line answers without measuring."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def engine():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import engine

        yield engine
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def rows(engine) -> ModuleType:
    from peers import rows

    return rows


def found(steps=1000, seconds=1.0, **more):
    usual = {
        "since_start": seconds,
        "peak_mb": 50.0,
        "updates": None,
        "reached": None,
        "scores": [],
        "curves": [],
    }
    return {"steps": steps, "seconds": seconds, **usual, **more}


def contest(engine, name, **changes):
    from dataclasses import replace

    return replace(engine.CONTESTS[name], **changes)


def script(name, *arguments):
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_ratios_are_taken_within_pairs_and_the_median_is_theirs(engine, rows):
    """The machine slows down threefold: the ratio of medians would be 8, every pair says 4 to 6."""
    ours = [found(seconds=1), found(seconds=1), found(seconds=3)]
    theirs = [found(seconds=4), found(seconds=6), found(seconds=15)]
    made = rows.row(engine.CONTESTS["cartpole-ppo"], {"engine": ours, "sb3": theirs})
    assert made["ratios"]["sb3"]["each"] == pytest.approx([4.0, 6.0, 5.0])
    assert made["ratios"]["sb3"]["median"] == pytest.approx(5.0)
    assert (made["ratios"]["sb3"]["low"], made["ratios"]["sb3"]["high"]) == pytest.approx((4.0, 6.0))
    assert made["sides"]["engine"]["median"] == pytest.approx(1000.0)
    assert made["reached"] is True and made["asked"] == "≥ 4.5"


def test_what_is_asked_is_held_against_the_named_side_only(engine, rows):
    answers = {"engine": [found(seconds=1)], "sb3": [found(seconds=4)], "cleanrl": [found(seconds=40)]}
    made = rows.row(engine.CONTESTS["cartpole-ppo"], answers)
    assert made["figure"] == pytest.approx(4.0) and made["reached"] is False
    text = rows.line(engine.CONTESTS["cartpole-ppo"], made)
    assert text.count("NOT reached") == 1 and "cleanrl" in text.splitlines()[1]


def test_whole_runs_are_compared_by_how_many_times_faster_they_are(engine, rows):
    answers = {"engine": [found(seconds=1, since_start=2.0)], "sb3": [found(seconds=1, since_start=30.0)]}
    made = rows.row(engine.CONTESTS["cartpole-population"], answers)
    assert made["figure"] == pytest.approx(15.0) and made["reached"] is True


def test_a_threshold_that_only_the_other_missed_counts_all_its_time(engine, rows):
    answers = {"engine": [found(reached=2.0)], "sb3": [found(seconds=10.0)]}
    made = rows.row(engine.CONTESTS["cartpole-475"], answers)
    assert made["figure"] == pytest.approx(0.2) and made["reached"] is True
    assert made["sides"]["sb3"]["median"] is None


def test_a_threshold_that_the_engine_missed_is_never_reached(engine, rows):
    answers = {"engine": [found(seconds=1.0)], "sb3": [found(reached=10.0)]}
    made = rows.row(engine.CONTESTS["cartpole-475"], answers)
    assert made["figure"] is None and made["reached"] is False
    assert "not reached" in rows.line(engine.CONTESTS["cartpole-475"], made)
    json.dumps(made, allow_nan=False)


def test_scores_are_held_against_the_lower_bound_as_a_share_of_the_range(engine, rows):
    quality = engine.CONTESTS["cartpole-quality"]
    same = [found(scores=[500.0 - i % 3]) for i in range(20)]
    worse = [found(scores=[440.0 - i % 3]) for i in range(20)]
    equal = rows.row(quality, {"engine": same, "sb3": same})
    assert (
        equal["differences"]["sb3"]["median"] == 0.0 and -0.01 < equal["figure"] <= 0.0 and equal["reached"]
    )
    less = rows.row(quality, {"engine": worse, "sb3": same})
    assert less["differences"]["sb3"]["median"] == pytest.approx(-0.12, abs=0.002) and not less["reached"]


def test_curves_are_as_far_apart_as_their_furthest_points(engine, rows):
    same = engine.CONTESTS["population-same"]
    one, other = found(curves=[[10.0, 100.0], [3.0]]), found(curves=[[10.0, 101.0], [3.0]])
    assert rows.row(same, {"engine": [one], "one by one": [one]})["reached"] is True
    apart = rows.row(same, {"engine": [one], "one by one": [other]})
    assert apart["figure"] == pytest.approx(1 / 101) and apart["reached"] is False
    shorter = found(curves=[[10.0], [3.0]])
    assert rows.row(same, {"engine": [one], "one by one": [shorter]})["reached"] is False


def test_a_figure_of_the_engine_alone_is_judged_once(engine, rows):
    answers = {"engine": [found(since_start=0.2)], "engine, sync": [found()], "sb3": [found(since_start=2.0)]}
    made = rows.row(engine.CONTESTS["first-step"], answers)
    assert made["figure"] == 0.2 and made["reached"] is True
    assert rows.line(engine.CONTESTS["first-step"], made).count("reached") == 1


def test_a_figure_that_is_not_a_number_meets_nothing(engine):
    from peers.figures import Asked

    assert not Asked(at_least=0.0).met(math.nan) and not Asked(at_most=0.0).met(math.nan)


def test_a_row_without_its_parts_says_what_is_missing(engine, rows):
    from peers.contests import Side

    sides = {"engine": Side("ours"), "other": Side("sb3", needs=("module:no_such_library",))}
    made = engine.measured(contest(engine, "cartpole-ppo", sides=sides), 1)
    assert made["not_available"] == "no_such_library"
    assert "not available: no_such_library" in rows.line(engine.CONTESTS["cartpole-ppo"], made)


def test_a_failing_run_fails_its_row_and_names_the_reason(engine, rows):
    task = {"env": "NoSuchWorld-v0", "steps": 8, "settings": {}}
    made = engine.measured(contest(engine, "cartpole-ppo", task=task), 1)
    assert "NoSuchWorld" in made["failed"]
    assert "failed: " in rows.line(engine.CONTESTS["cartpole-ppo"], made)


def test_the_bound_multiplies_what_the_network_multiplies(engine):
    from peers.bound import Products

    nets = Products(4, (64, 32), 2).nets
    assert [[weight.shape for weight in net] for net in nets] == [
        [(4, 64), (64, 32), (32, 2)],
        [(4, 64), (64, 32), (32, 1)],
    ]


def test_one_real_row_as_json(engine):
    """The bound beside itself: a row without torch or an environment's steps."""
    from peers.contests import Side

    sides = {"engine": Side("bound"), "bound": Side("bound")}
    task = {**engine.CONTESTS["population-bound"].task, "members": 2}
    made = engine.measured(contest(engine, "population-bound", sides=sides, task=task), 1, 2048)
    assert made["sides"]["engine"]["answers"][0]["steps"] == 2048 * 2
    assert made["ratios"]["bound"]["median"] > 0


def test_the_list_names_every_row(engine):
    done = script("engine.py", "--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(engine.CONTESTS)


@pytest.mark.parametrize("name", ["engine.py", "learning.py"])
def test_an_unknown_row_is_named_and_nothing_runs(name):
    done = script(name, "--only", "cartpoel")
    assert done.returncode == 2 and not done.stdout
    assert "There is no row named 'cartpoel'" in done.stderr and "Did you mean cartpole" in done.stderr


def test_a_reference_is_reached_by_the_mean_or_within_the_interval(engine):
    import learning

    assert [learning.verdict(*case) for case in ((5.0, 6.0, 5.0), (4.0, 6.0, 5.0), (4.0, 4.5, 5.0))] == [
        "reached",
        "within",
        "NOT reached",
    ]


def test_no_name_at_all_is_no_row_either(engine):
    with pytest.raises(SystemExit) as ended:
        engine.main(["--only", " , "])
    assert ended.value.code == 2


@pytest.mark.parametrize("pairs", ["0", "-1", "many"])
def test_pairs_must_be_a_number_above_0(pairs):
    done = script("engine.py", f"--pairs={pairs}")
    assert done.returncode == 2 and "not a whole number above 0" in done.stderr


def test_kept_answers_are_not_asked_again_and_a_cut_line_is(tmp_path, engine):
    """A power failure in the middle of the second answer: the first stands, the second is asked again."""
    from peers.kept import Kept

    file, asked = tmp_path / "kept.jsonl", []

    def ask(name):
        asked.append(name)
        return {"steps": len(asked)}

    first = Kept(file)
    assert first.get({"pair": 0}, lambda: ask("a")) == {"steps": 1}
    assert first.get({"pair": 1}, lambda: ask("b")) == {"steps": 2}
    file.write_bytes(file.read_bytes()[:-5])
    again = Kept(file)
    assert again.get({"pair": 0}, lambda: ask("c")) == {"steps": 1}
    assert again.get({"pair": 1}, lambda: ask("d")) == {"steps": 3}
    assert asked == ["a", "b", "d"] and len(file.read_text().splitlines()) == 2


@pytest.mark.parametrize("text", ["buy milk\n", "buy milk", "buy milk\nand bre"])
def test_a_file_that_holds_no_answers_is_refused_and_left_as_it_is(tmp_path, text):
    file = tmp_path / "notes.txt"
    file.write_text(text)
    done = script("engine.py", "--only", "first-step", "--keep", str(file))
    assert done.returncode == 2 and "notes.txt, line 1: not an answer" in done.stderr
    assert file.read_text() == text
