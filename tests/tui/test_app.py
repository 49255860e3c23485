"""The full-screen face, driven by Textual's pilot on a real workspace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from run_samples import HOSTILE, begin, finish
from textual.pilot import Pilot
from textual.widgets import DataTable, RichLog, Static

from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace
from experimenter_tui.app import ExperimenterApp

Drive = Callable[[ExperimenterApp, Pilot[None]], Awaitable[None]]


def _two_runs(root: Path) -> Path:
    with Workspace.open(root) as store:
        begin(store, "first_run")
        finish(store, "first_run")
        begin(store, "second_run", f"a wish {HOSTILE}")
    return root


def _drive(root: Path, steps: Drive) -> None:
    async def whole() -> None:
        app = ExperimenterApp(root)
        async with app.run_test(size=(140, 40)) as pilot:
            await _until(pilot, lambda: app.shown is not None)
            await steps(app, pilot)

    asyncio.run(whole())


async def _until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    for _ in range(100):
        if true():
            return
        await pilot.pause(0.05)
    raise AssertionError("the screen did not get there")


def _cells(app: ExperimenterApp, name: str) -> list[list[str]]:
    table = app.query_one(f"#{name}", DataTable)
    return [[str(cell) for cell in table.get_row_at(index)] for index in range(table.row_count)]


def test_it_shows_runs_trials_events_and_budget(workspace: Path) -> None:
    async def steps(app: ExperimenterApp, pilot: Pilot[None]) -> None:
        assert [row[0] for row in _cells(app, "runs")] == ["second_run", "first_run"]
        assert [row[1] for row in _cells(app, "trials")] == ["native", "reward", "hyperparameters"]
        assert "450,000 of 1,000,000 steps" in str(app.query_one("#spent", Static).render())
        await _until(pilot, lambda: len(app.query_one(RichLog).lines) >= 4)

    _drive(_two_runs(workspace), steps)


def test_hostile_text_is_shown_as_text(workspace: Path) -> None:
    async def steps(app: ExperimenterApp, pilot: Pilot[None]) -> None:
        wish = _cells(app, "runs")[0][3]
        assert "<script>" in wish and "[bold]" in wish
        assert not any(ord(character) < 32 for character in wish)
        log = "\n".join(line.text for line in app.query_one(RichLog).lines)
        assert "\x1b" not in log and "\u202e" not in log

    _drive(_two_runs(workspace), steps)


def test_enter_shows_another_run_and_keys_ask_things_of_it(workspace: Path) -> None:
    async def steps(app: ExperimenterApp, pilot: Pilot[None]) -> None:
        await pilot.press("down", "enter")
        await _until(pilot, lambda: "950,000" in str(app.query_one("#spent", Static).render()))
        assert app.shown == "first_run"
        with Workspace.open(workspace) as store, RunLock(workspace / "runs" / "first_run") as lock:
            asked: list[str] = []
            for key, kind in (("p", "pause"), ("u", "resume"), ("s", "stop")):
                await pilot.press(key)
                asked.append(kind)
                await _until(pilot, lambda: [c.kind for c in store.pending("first_run")] == asked)
            assert store.pending("second_run") == ()
            for command in store.pending("first_run"):
                store.settle(command.id, "done")
            lock.release()

    _drive(_two_runs(workspace), steps)


def test_a_run_that_is_not_running_cannot_be_paused(workspace: Path) -> None:
    async def steps(app: ExperimenterApp, pilot: Pilot[None]) -> None:
        await pilot.press("p")
        await _until(pilot, lambda: any("is not running" in note.message for note in app._notifications))
        with Workspace.open(workspace) as store:
            assert store.pending("second_run") == ()

    _drive(_two_runs(workspace), steps)


def test_new_events_appear_by_themselves(workspace: Path) -> None:
    async def steps(app: ExperimenterApp, pilot: Pilot[None]) -> None:
        with Workspace.open(workspace) as store:
            store.emit("second_run", "note", {"words": "something new"})

        def seen() -> bool:
            return any("something new" in line.text for line in app.query_one(RichLog).lines)

        await _until(pilot, seen)
        assert sum("something new" in line.text for line in app.query_one(RichLog).lines) == 1

    _drive(_two_runs(workspace), steps)


def test_it_says_whom_a_running_run_waits_for(workspace: Path) -> None:
    async def steps(app: ExperimenterApp, pilot: Pilot[None]) -> None:
        def spent() -> str:
            return str(app.query_one("#spent", Static).render())

        asked = {"kind": "write_rewards", "model": f"openai:{HOSTILE}"}
        with Workspace.open(workspace) as store:
            store.set_status("second_run", "running")
            with RunLock(workspace / "runs" / "second_run") as lock:
                store.emit("second_run", "model.asked", asked)
                await _until(pilot, lambda: "waiting for the model (openai:<script>" in spent())
                assert "write_rewards) " in spent() and "450,000 of 1,000,000 steps" in spent()
                store.emit("second_run", "model.answered", {"words": "openai answered write_rewards"})
                await _until(pilot, lambda: "waiting" not in spent())
                store.emit("second_run", "model.asked", asked)
                await _until(pilot, lambda: "waiting" in spent())
                lock.release()
            await _until(pilot, lambda: "waiting" not in spent())
        log = [line.text for line in app.query_one(RichLog).lines]
        assert any(line.endswith("openai answered write_rewards") for line in log)

    _drive(_two_runs(workspace), steps)


def test_r_writes_the_report(workspace: Path) -> None:
    async def steps(app: ExperimenterApp, pilot: Pilot[None]) -> None:
        await pilot.press("r")
        report = workspace / "runs" / "second_run" / "report.html"
        await _until(pilot, report.exists)
        assert "second_run" in report.read_text(encoding="utf-8")
        await pilot.press("question_mark")
        await pilot.press("q")

    _drive(_two_runs(workspace), steps)
