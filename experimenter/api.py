"""The Python face: the same runs as the command line's, typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experimenter.config import Settings, load_settings
from experimenter.envs.records import EnvCard
from experimenter.events import Event
from experimenter.loop import launch
from experimenter.loop.asking import request_stop
from experimenter.loop.preparation import look_at, prepare
from experimenter.loop.results import raise_failure, result
from experimenter.records import Evaluation
from experimenter.results import RunResult

__all__ = ["Experimenter"]


class Experimenter:
    """Runs in one environment and one workspace.

    ``env`` is a Gymnasium id or ``module:Id``; ``kwargs`` its constructor parameters; ``judge``, ``judge_visibility``
    and ``target`` as on the command line; ``seed`` decides everything random. Every other keyword is a setting
    (``experimenter config show`` lists them), with the command line's precedence: keyword, variable, files, default.

        result = Experimenter("CartPole-v1", budget_steps=100_000).run("keep the pole up")
        print(result.sentence)

    Raises ConfigError for an unknown setting; the methods raise what ``experimenter.errors`` lists.
    """

    def __init__(
        self,
        env: str,
        *,
        kwargs: dict[str, Any] | None = None,
        judge: str | None = None,
        judge_visibility: str = "open",
        target: float | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        self.env, self.kwargs = env, dict(kwargs or {})
        self.judge, self.target, self.seed = judge, target, seed
        self.judge_visibility = judge_visibility
        known = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
        self.settings: Settings = load_settings(known).settings

    @property
    def workspace(self) -> Path:
        """The folder that holds the runs, absolute."""
        return Path(self.settings.workspace).expanduser().absolute()

    def card(self) -> EnvCard:
        """What can be known about the environment before any training."""
        return look_at(
            self.env,
            self.kwargs,
            judge=self.judge,
            steps=self.settings.card_steps,
            seed=self.seed,
            silence=self.settings.silence_seconds,
        )

    def run(self, goal: str, *, name: str | None = None) -> RunResult:
        """Pursues the goal to its end and returns the result. Raises what made the run fail."""
        run = self._start(goal, name)
        for _ in launch.follow(self.workspace, run):
            pass
        return self._result(run)

    def stream(self, goal: str, *, name: str | None = None) -> Iterator[Event]:
        """The run's events while it goes on. Leaving the loop early leaves the run going; see ``result``."""
        run = self._start(goal, name)
        yield from launch.follow(self.workspace, run)

    def resume(
        self, run: str, *, budget_steps: int | None = None, budget_seconds: float | None = None
    ) -> RunResult:
        """Goes on with a run that was stopped or killed, or that a larger budget lets go on.

        Raises BudgetError for a smaller budget, RunLocked when the run is running, and what makes the run fail.
        """
        changes = {"env_steps": budget_steps, "seconds": budget_seconds}
        launch.raise_budget(
            self.workspace, run, {key: value for key, value in changes.items() if value is not None}
        )
        launch.start(self.workspace, run)
        for _ in launch.follow(self.workspace, run):
            pass
        return self._result(run)

    def result(self, run: str) -> RunResult:
        """How a run stands, finished or not."""
        return result(self.workspace, run)

    def stop(self, run: str) -> None:
        """Asks a running run to keep what is finished and leave."""
        request_stop(self.workspace, run)

    def judge_policy(self, what: str, *, episodes: int = 20, seed: int = 0) -> Evaluation:
        """The frozen judge's figures for a kept policy: ``RUN/TRIAL`` or a skill's name."""
        from experimenter.loop.rejudge import judge_policy

        return judge_policy(self.workspace, what, self.env, episodes, seed)

    def _start(self, goal: str, name: str | None) -> str:
        prepared = prepare(
            goal,
            self.env,
            self.kwargs,
            self.settings,
            judge=self.judge,
            judge_visibility=self.judge_visibility,
            target=self.target,
            seed=self.seed,
            run_id=name,
            command=("python",),
        )
        launch.start(self.workspace, prepared.record.id)
        return prepared.record.id

    def _result(self, run: str) -> RunResult:
        found = result(self.workspace, run)
        raise_failure(found)
        return found
