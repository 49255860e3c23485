"""``Experimenter``: one environment, one workspace, and everything that can be asked of them; blocking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experimenter.api.memory import LabMemory
from experimenter.api.policy import LabPolicy
from experimenter.api.skills import LabSkills
from experimenter.config import Settings, load_settings
from experimenter.envs.records import EnvCard
from experimenter.errors import UsageError
from experimenter.events import Event
from experimenter.loop import launch
from experimenter.loop.asking import request_stop
from experimenter.loop.preparation import look_at, prepare
from experimenter.loop.results import own_runs, raise_failure, result
from experimenter.records import EnvSpec, Evaluation, Method, RewardProgram
from experimenter.results import RunResult
from experimenter.workspace.store import Workspace

if TYPE_CHECKING:
    from experimenter.loop.benched import Bench
    from experimenter.planners.archive import Archive
    from experimenter.report.explain import Explained

__all__ = ["Experimenter"]


class Experimenter:
    """Runs in one environment and one workspace, and what they leave behind.

    ``env`` is a Gymnasium id or ``module:Id``, and may be left out by those who only look at a workspace; ``kwargs``
    its constructor parameters; ``judge``, ``judge_visibility`` and ``target`` as on the command line; ``seed`` decides
    everything random. Every other keyword is a setting (``experimenter config show`` lists them), with the command
    line's precedence: keyword, variable, files, default.

        result = Experimenter("CartPole-v1", budget_steps=100_000).run("keep the pole up")
        print(result.sentence)

    Raises ConfigError for an unknown setting; the methods raise what ``experimenter.errors`` lists.
    """

    def __init__(
        self,
        env: str = "",
        *,
        kwargs: dict[str, Any] | None = None,
        judge: str | None = None,
        judge_visibility: str = "open",
        target: float | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        self.env, self.kwargs = env, dict(kwargs or {})
        self.success, self.target, self.seed = judge, target, seed
        self.judge_visibility = judge_visibility
        known = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
        self.settings: Settings = load_settings(known).settings
        self.workspace: Path = Path(self.settings.workspace).expanduser().absolute()

    @property
    def memory(self) -> LabMemory:
        """What earlier runs in this workspace learned."""
        where = EnvSpec(id=self.env, kwargs=self.kwargs) if self.env else None
        return LabMemory(self.workspace, self.settings, where)

    @property
    def skills(self) -> LabSkills:
        """The certified policies of this workspace."""
        return LabSkills(self.workspace)

    def card(self) -> EnvCard:
        """What can be known about the environment before any training."""
        return look_at(
            self._place(),
            self.kwargs,
            judge=self.success,
            steps=self.settings.card_steps,
            seed=self.seed,
            silence=self.settings.silence_seconds,
        )

    def run(self, goal: str, *, name: str | None = None) -> RunResult:
        """Pursues the goal to its end and returns the result. Raises what made the run fail."""
        return self._to_the_end(self.start(goal, name=name))

    def start(self, goal: str, *, name: str | None = None) -> str:
        """Starts a run in a process of its own, which outlives this one, and returns the run's name."""
        run = self.prepare(goal, name=name)
        launch.start(self.workspace, run)
        return run

    def prepare(self, goal: str, *, name: str | None = None) -> str:
        """Checks everything that can be wrong and creates the run, to be started by ``resume``; returns its name."""
        prepared = prepare(
            goal,
            self._place(),
            self.kwargs,
            self.settings,
            judge=self.success,
            judge_visibility=self.judge_visibility,
            target=self.target,
            seed=self.seed,
            run_id=name,
            command=("python",),
        )
        return prepared.record.id

    def stream(self, goal: str, *, name: str | None = None) -> Iterator[Event]:
        """The run's events while it goes on. Leaving the loop early leaves the run going; see ``result``."""
        yield from self.follow(self.start(goal, name=name))

    def follow(self, run: str) -> Iterator[Event]:
        """A run's events from its beginning to its end, whoever started it."""
        yield from launch.follow(self.workspace, run)

    def resume(
        self,
        run: str,
        *,
        budget_steps: int | None = None,
        budget_seconds: float | None = None,
        budget_tokens: int | None = None,
        budget_dollars: float | None = None,
    ) -> RunResult:
        """Goes on with a run that was stopped or killed, or that a larger budget lets go on.

        Raises BudgetError for a smaller budget, RunLocked when the run is running, and what makes the run fail.
        """
        self.raise_budget(
            run,
            budget_steps=budget_steps,
            budget_seconds=budget_seconds,
            budget_tokens=budget_tokens,
            budget_dollars=budget_dollars,
        )
        launch.start(self.workspace, run)
        return self._to_the_end(run)

    def raise_budget(
        self,
        run: str,
        *,
        budget_steps: int | None = None,
        budget_seconds: float | None = None,
        budget_tokens: int | None = None,
        budget_dollars: float | None = None,
    ) -> None:
        """Gives larger limits to a run that is not running. Raises BudgetError for smaller ones, RunLocked."""
        asked = {
            "env_steps": budget_steps,
            "seconds": budget_seconds,
            "tokens": budget_tokens,
            "dollars": budget_dollars,
        }
        launch.raise_budget(
            self.workspace, run, {key: value for key, value in asked.items() if value is not None}
        )

    def result(self, run: str = "latest") -> RunResult:
        """How a run stands, finished or not."""
        return result(self.workspace, run)

    def runs(self) -> tuple[str, ...]:
        """The names of the workspace's runs, newest first, without those that are controls of others."""
        with self._open() as store:
            return tuple(record.id for record in own_runs(store))

    def stop(self, run: str) -> None:
        """Asks a running run to keep what is finished and leave."""
        request_stop(self.workspace, run)

    def judge(self, what: str | Path | RunResult, *, episodes: int = 20, seed: int = 0) -> Evaluation:
        """The frozen judge's figures for a kept policy, in this laboratory's environment.

        ``what`` is a skill's name, ``RUN/TRIAL``, a run or its result (its confirmed winner), or the path of an
        exported skill or of a training's folder. Where no environment was named, it is judged where it was trained.
        Raises NotFound, UsageError, and EnvironmentFault when the policy cannot act in the environment.
        """
        from experimenter.loop.rejudge import judge_policy

        kwargs = self.kwargs if self.env else None
        found = _policy_of(what)
        return judge_policy(self.workspace, found, self.env or None, episodes, seed, self.success, kwargs)

    def policy(self, what: str | Path | RunResult) -> LabPolicy:
        """The policy that ``judge`` would judge, to act with in your own loop."""
        from experimenter.loop.rejudge import kept_policy
        from experimenter.policies.acting import Actor
        from experimenter.policies.policy import load_policy

        with kept_policy(self.workspace, _policy_of(what)) as kept:
            return LabPolicy(Actor(load_policy(kept.folder, kept.hash)), kept.environment)

    def report(
        self, run: str = "latest", *, formats: Sequence[str] = ("html",), films: bool = False
    ) -> dict[str, Path]:
        """Writes a run's report; returns the paths of the ``formats`` (``html``, ``md``, ``card``) by name.

        There is no card of a run without a policy. ``films`` first films the winner and the native control, where
        that is missing. Raises NotFound, and UsageError for another format.
        """
        from experimenter.report import FORMATS, check_formats, write_reports

        check_formats(formats)
        with self._open() as store:
            name = store.run(run).id
            if films:
                from experimenter.execution.filming import film_run

                film_run(store, name)
            written = write_reports(store, name)
        return {one: written[FORMATS[one]] for one in formats if FORMATS[one] in written}

    def explain(self, trial: str) -> tuple[Explained, ...]:
        """What the reward programs of ``RUN/TRIAL`` did: its candidates, the best first. Raises NotFound."""
        from experimenter.report.explain import explain

        with self._open() as store:
            found = store.locate_trial(trial)
            return explain(store.trials(found.run), found.trial)

    def bench(
        self,
        program: str | Path | RewardProgram,
        *,
        steps: int = 20_000,
        seeds: int = 2,
        native: bool = True,
    ) -> Bench:
        """Takes a reward program (source, a file's path, or a record) through every gate and ``seeds`` short
        trainings of ``steps`` steps; with ``native``, as many with the native reward beside it.

        Nothing is kept, and a refusal is a result: see ``accepted`` and ``why``. ``steps=0`` only asks the gates.
        Raises UsageError where there is no program to ask about, EnvironmentFault.
        """
        from experimenter.api.bench import bench

        return bench(
            program,
            self._place(),
            self.kwargs,
            judge=self.success,
            steps=steps,
            training_seeds=seeds,
            seed=self.seed,
            native=native,
            settings=self.settings,
        )

    def exchanges(self, run: str = "latest") -> Archive:
        """Everything that a run asked, with the answers: what ``planner="replay:FILE"`` answers from, once written.

        ``Path(file).write_text(archive.model_dump_json())`` publishes it. Raises NotFound.
        """
        from experimenter.loop.replaying import archive_of

        with self._open() as store:
            return archive_of(store, store.run(run).id)

    def methods(self) -> tuple[Method, ...]:
        """Every installed method that a design may use, by name."""
        from experimenter.methods import methods

        return methods()

    def finished(self, run: str) -> RunResult:
        """The result of a run; raises what made it fail."""
        found = result(self.workspace, run)
        raise_failure(found)
        return found

    def _to_the_end(self, run: str) -> RunResult:
        for _ in launch.follow(self.workspace, run):
            pass
        return self.finished(run)

    def _open(self) -> Workspace:
        return Workspace.open(self.workspace, create=False)

    def _place(self) -> str:
        if not self.env:
            raise UsageError("No environment is named.", 'Say where, as in Experimenter("CartPole-v1").')
        return self.env


def _policy_of(what: str | Path | RunResult) -> str | Path:
    return what.run if isinstance(what, RunResult) else what
