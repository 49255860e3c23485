"""What the commands print: figures for people, one object for programs, and only text from strangers."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from run_samples import HOSTILE, begin, confirm_before, finish, trial, whole_run

from experimenter.budget import Forecast, Ledger
from experimenter.cli import main
from experimenter.cli.following import exit_code_of
from experimenter.cli.live import LiveView, Snapshot
from experimenter.cli.options import parse_set
from experimenter.cli.progress import Progress, event_words
from experimenter.events import Event
from experimenter.records import Budget
from experimenter.report.forecast import forecast_words
from experimenter.results import RunResult
from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace

REQUIRED = {"run", "status", "planner", "judge", "verdict", "best", "controls", "ledger", "report"}


@pytest.fixture
def place(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("EXPERIMENTER_WORKSPACE", str(workspace))
    return whole_run(workspace)


def _json(words: list[str], capsys: pytest.CaptureFixture[str]) -> object:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_shows_runs_newest_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Workspace.open(place) as store:
        begin(store, "later", "another wish")
        store.set_status("later", "running")
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert text.index("later") < text.index("reach_the_flag") and "950,000" in text
    rows = _json(["list"], capsys)
    assert isinstance(rows, list)
    assert [(row["run"], row["status"]) for row in rows] == [
        ("later", "interrupted"),
        ("reach_the_flag", "finished"),
    ]
    with RunLock(place / "runs" / "later"):
        assert _json(["list"], capsys)[0]["status"] == "running"  # type: ignore[index]


def test_show_a_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "reach"]) == 0
    text = capsys.readouterr().out
    for words in (
        "hyperparameters",
        "3 (2 dropped)",
        "−104.5",
        "plateau",
        "helped",
        "−103 (−106.3 to −99)",
        "judge it",
    ):
        assert words in text
    found = _json(["show", "latest"], capsys)
    assert isinstance(found, dict)
    assert [one["id"] for one in found["trials"]] == ["t0", "t1", "t2"]
    assert found["result"]["verdict"]["native"]["label"] == "helped"


def test_show_earlier_confirmations(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "reach"]) == 0
    assert "earlier (" not in capsys.readouterr().out
    with Workspace.open(place) as store:
        confirm_before(store)
    assert main(["show", "reach"]) == 0
    text = capsys.readouterr().out
    assert "earlier (reach_the_flag/t2)" in text and "−131 (−136 to −125)" in text
    (one,) = _json(["show", "latest"], capsys)["result"]["earlier"]  # type: ignore[index, call-overload]
    assert (one["trial"], one["true_score"]["seeds"], one["env_steps"]) == ("reach_the_flag/t2", 5, 400_000)


def test_a_result_of_an_older_release_is_read(place: Path) -> None:
    with Workspace.open(place) as store:
        stored = store.document("reach_the_flag", "result")
    assert stored.pop("earlier") == []
    assert RunResult.model_validate(stored).earlier == ()


def test_show_a_trial_with_its_program(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "reach_the_flag/t1"]) == 0
    text = capsys.readouterr().out
    assert "climb_1" in text and '"higher": 5.0 * (t.gamma * height_next - height_now)' in text
    assert "discarded: lower half of rung 1" in text
    assert _json(["show", "reach_the_flag/t1"], capsys)["id"] == "t1"  # type: ignore[index, call-overload]


def test_what_is_not_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["show", "reach_the_flga"],
        ["show", "reach_the_flag/t9"],
        ["report", "moon"],
        ["watch", "moon"],
    ):
        assert main(words) == 2
        assert "→" in capsys.readouterr().err


def test_report_says_where_it_is(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "latest", "--output", str(tmp_path / "copy.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'copy.html'}\n"
    assert (tmp_path / "copy.html").read_bytes() == (
        place / "runs" / "reach_the_flag" / "report.html"
    ).read_bytes()
    found = _json(["report"], capsys)
    folder = place / "runs" / "reach_the_flag"
    assert found == {
        "run": "reach_the_flag",
        "report": str(folder / "report.html"),
        "markdown": str(folder / "report.md"),
        "card": str(folder / "MODEL_CARD.md"),
        "copy": None,
        "films": [],
    }


def test_config_names_origins(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(["config", "show"], capsys)
    assert isinstance(found, dict)
    assert found["workspace"] == {"value": str(place), "origin": "EXPERIMENTER_WORKSPACE"}
    assert found["planner"] == {"value": "search", "origin": "default"}
    assert main(["config", "path"]) == 0
    assert "experimenter.toml" in capsys.readouterr().out


def test_doctor_looks_at_everything(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {
        "python",
        "cores",
        "memory",
        "disk",
        "workspace",
        "containment",
        "extra minigrid",
        "probe: open a socket",
    } <= found["checks"].keys()
    assert "1 runs in" in found["checks"]["workspace"]["words"]
    assert found["ok"] == all(check["state"] != "bad" for check in found["checks"].values())


def test_doctor_knows_every_extra_and_what_it_is_for(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    extras = {f"extra {name}" for name in project["optional-dependencies"] if name != "dev"}
    assert extras == {name for name in checks if name.startswith("extra ")}
    for name in extras:
        assert checks[name]["state"] in {"good", "note"}
        assert (checks[name]["state"] == "good") == (not checks[name]["hint"])


def test_doctor_finds_a_damaged_workspace(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace.mkdir()
    (workspace / "workspace.sqlite").write_bytes(b"no database" * 1000)
    assert main(["doctor", "--workspace", str(workspace)]) == 1
    assert "✗" in capsys.readouterr().out


def test_hostile_words_reach_the_screen_as_text(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Workspace.open(place) as store:
        begin(store, "bad", HOSTILE)
        store.finish_step("bad", "e" * 32, "remember", {}, trial=trial(7, "reward", -99.0, sentence=HOSTILE))
    for words in (
        ["list"],
        ["show", "bad"],
        ["show", "bad/t7"],
        ["list", "--json"],
        ["show", "bad", "--json"],
    ):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert "\x1b]" not in text and "\x1b[31m" not in text and "\u202e" not in text and "\x07" not in text
        assert "script>" in text


def test_the_result_object_has_what_programs_need(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "latest", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found.keys() >= REQUIRED
    assert found["verdict"]["native"].keys() >= {"label", "difference", "low", "high", "p"}
    assert found["best"].keys() >= {"trial", "true_score", "success_rate"}
    assert found["best"]["true_score"].keys() >= {"iqm", "low", "high", "seeds"}
    assert found["controls"]["native"]["true_score"]["iqm"] == pytest.approx(-148)
    costs = {"env_steps", "eval_steps", "control_env_steps", "seconds", "tokens", "dollars"}
    assert found["ledger"].keys() >= costs


def test_events_are_json_lines_and_nothing_else(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "latest", "--events"]) == 0
    lines = capsys.readouterr().out.splitlines()
    events = [Event.model_validate_json(line) for line in lines]
    assert [event.seq for event in events] == list(range(1, len(lines) + 1))
    assert events[0].kind == "run.created" and "remember.finished" in {event.kind for event in events}


def test_a_failed_run_ends_with_its_own_code(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Workspace.open(place) as store:
        begin(store, "broken")
        store.set_status("broken", "failed", "EnvironmentFault: it raised at step 12.", "Look at its step().")
    assert main(["watch", "broken", "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit_code"] == 3
    assert captured.err.splitlines()[-2:] == ["error: it raised at step 12.", "→ Look at its step()."]


@pytest.mark.parametrize(
    ("status", "own", "code"), [("finished", 0, 0), ("stopped", 0, 130), ("failed", 0, 1), ("failed", 4, 4)]
)
def test_exit_codes_of_results(status: str, own: int, code: int) -> None:
    result = RunResult(run="r", status=status, planner="search", judge="j", exit_code=own)  # type: ignore[arg-type]
    assert exit_code_of(result) == code


def test_progress_folds_events_and_ignores_the_unknown() -> None:
    progress = Progress()
    progress.fold("design.finished", "", {"cycle": 1})
    assert progress.stop == "check"
    data = {"trial": "t1", "design": "climb", "seed": 3, "steps": 500, "until": 1000, "true_return": -150.0}
    progress.fold("training.progress", "s1", data)
    progress.fold("training.progress", "s2", {"trial": "t1", "design": "fall", "steps": "many"})
    assert (progress.stop, progress.trainings["s1"].steps, progress.trainings["s2"].steps) == (
        "train",
        500,
        0,
    )
    progress.fold("training.finished", "s1", {})
    assert list(progress.trainings) == ["s2"]
    progress.fold("confirm.started", "", {})
    progress.fold("training.progress", "s3", data)
    assert progress.stop == "confirm"
    progress.fold("someone.elses", "", {"x": 1})
    assert progress.stop == "confirm"


def test_event_words() -> None:
    assert event_words("training.progress", {"steps": 3}) == ""
    assert event_words("note", {"words": f"hello {HOSTILE}"}).startswith("hello <script>")
    words = event_words(
        "remember.finished", {"trial": "t1", "true_score": -104.5, "success_rate": 0.6, "effect": None}
    )
    assert words == "remember finished: trial t1, true score −104.5, success rate 60 %"


def test_the_live_view_shows_trials_bars_and_budget() -> None:
    from rich.console import Console

    view = LiveView(
        lambda: Snapshot([trial(0, "reward", -104.5)], Ledger(env_steps=1234), Budget(env_steps=9000))
    )
    console = Console(width=150, markup=False, file=None, record=True, force_terminal=False)
    view._refresh()
    data = {
        "trial": "t1",
        "design": "climb[/]",
        "seed": 3,
        "steps": 500,
        "until": 1000,
        "true_return": -150.0,
    }
    view.event(Event(seq=1, at="2026-11-21T10:00:00", run="r", kind="training.progress", step="s", data=data))
    with console.capture() as shown:
        console.print(view.picture())
    text = shown.get()
    for words in (
        "train",
        "1,234 of 9,000 steps",
        "reward",
        "−104.5",
        "t1 climb[/] seed 3",
        "500 / 1,000 steps",
        "−150",
    ):
        assert words in text


def test_set_values_are_json_where_they_can_be() -> None:
    found = parse_set(["size=8", "name=abc", "flag=true", "other=False", "none=None", "list=[1,2]", "eq=a=b"])
    expected = {
        "size": 8,
        "name": "abc",
        "flag": True,
        "other": False,
        "none": None,
        "list": [1, 2],
        "eq": "a=b",
    }
    assert found == expected


def test_forecast_in_words() -> None:
    foreseen = Forecast(
        search_env_steps=500_000,
        confirm_env_steps=500_000,
        eval_steps=0,
        card_steps=2000,
        control_env_steps=1_000_000,
        seconds=200.0,
        dollars=None,
    )
    words = forecast_words(foreseen)
    assert "500,000 to search, 500,000 to confirm, 1,000,000 for controls" in words
    assert "3 min 20 s" in words and "unknown price" in words and "to judge" not in words
    ranges = {"eval_steps": 300_000, "eval_steps_low": 45_321, "eval_steps_high": 731_999}
    ranged = foreseen.model_copy(
        update=ranges | {"seconds_low": 125.0, "seconds_high": 250.0, "dollars": 0.0}
    )
    assert "about 45,000 to 730,000 to judge, about 2–4 minutes" in forecast_words(ranged)


def test_a_verdict_without_a_winner(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        result = finish(store)
        bare = result.model_copy(
            update={"best": None, "verdict": {}, "controls": {}, "sentence": "No claim."}
        )
        store.put_document("reach_the_flag", "result", bare.model_dump(mode="json"))
    assert main(["watch", "latest", "--workspace", str(workspace)]) == 0
    text = capsys.readouterr().out
    assert "No claim." in text and "judge it" not in text
