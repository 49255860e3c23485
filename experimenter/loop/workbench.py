"""The work of the reward bench: the jobs that it gives to workers, and what it makes of their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from experimenter.config import Settings
from experimenter.contracts import Executor, Job, JobResult
from experimenter.envs.records import EnvCard
from experimenter.execution.benching import Gates, passed_until
from experimenter.identity import seeds
from experimenter.judge.statistics import compare, iqm
from experimenter.loop.benched import Bench, Trained, comparison_words, merged, verdict_words
from experimenter.loop.faults import raise_for_environment, raise_from
from experimenter.records import Design, Diagnosis, Evaluation, Phase, RewardProgram, Training, WeightedEnv

__all__ = ["Say", "Workbench"]

Say = Callable[[str, float | None], None]
"""Hears what is being done, and how much of it is done (0–1, ``None`` where nobody knows)."""

VALIDATION_EPISODES: Final = 10
CHUNKS: Final = 8
PROBE_STEPS: Final = 2_048
# What a training may fail with through its reward program; anything else is this machine's or the environment's.
_PROGRAMS_FAULT: Final = ("ProgramRejected", "TrainingFault")


class Workbench:
    """One program on the bench: its gates, its trainings beside the native ones, and what the judge says of them.

    ``folder`` is where policies stand until they are judged; ``say`` hears what is being done.
    """

    def __init__(
        self,
        executor: Executor,
        card: EnvCard,
        program: RewardProgram,
        settings: Settings,
        steps: int,
        seed: int,
        say: Say,
        folder: Path,
    ) -> None:
        self.executor, self.card, self.program, self.settings = executor, card, program, settings
        self.steps, self.seed, self.say, self.folder = steps, seed, say, folder
        self.heard: dict[str, int] = {}
        self.judged: dict[str, Evaluation] = {}

    def run(self, training_seeds: int, native: bool) -> Bench:
        """All of it, as far as the program comes."""
        gates = self._gates()
        if gates.refused is not None or self.steps == 0:
            return self._bench(gates)
        chosen = seeds(self.seed, "search_train", training_seeds, "bench")
        mine = self._arm("with the program", self._design(self.program), chosen)
        gates = _after_training(gates, mine)
        if gates.refused is not None or not native:
            return self._bench(gates, mine)
        return self._bench(gates, mine, self._arm("with the native reward", self._design(None), chosen))

    def _design(self, reward: RewardProgram | None) -> Design:
        from experimenter.rl.defaults import default_hyperparameters, default_network

        phase = Phase(
            environments=(WeightedEnv(environment=self.card.spec),),
            reward=reward,
            hyperparameters=default_hyperparameters(self.card),
            steps=max(self.steps, 1),
        )
        name = "program" if reward else "native"
        return Design(name=name, phases=(phase,), network=default_network(self.card), origin="person")

    def _gates(self) -> Gates:
        payload = {
            "program": self.program.model_dump(mode="json"),
            "environment": self.card.spec.model_dump(mode="json"),
            "design": self._design(self.program).model_dump(mode="json"),
            "features": [feature.model_dump(mode="json") for feature in self.card.features],
            "seed": seeds(self.seed, "probe", 1, "bench")[0],
            "steps": PROBE_STEPS,
            "allow_unsandboxed": self.settings.allow_unsandboxed,
        }
        job = Job(id="gates", kind="inspect", payload=payload, silence=self.settings.silence_seconds)
        return Gates.model_validate(self._do([job], "train", "the gates")[0].value)

    def _arm(self, words: str, design: Design, chosen: Sequence[int]) -> Trained:
        jobs = [self._train_job(design, seed) for seed in chosen]
        count = f"{len(jobs)} short training{'s' if len(jobs) != 1 else ''} {words}"
        results = self._do(jobs, "train", count, may_fail=_PROGRAMS_FAULT)
        trainings = [
            self._training(result, design, seed) for result, seed in zip(results, chosen, strict=True)
        ]
        evaluations = self._judge([t for t in trainings if t.policy is not None], words)
        rates = [item.success_rate for item in evaluations if item.success_rate is not None]
        failed = len(trainings) - len(evaluations)
        scores = [float(item.mean) for item in evaluations] + [self.card.random.return_mean] * failed
        return Trained(
            score=iqm(scores),
            scores=tuple(scores),
            success_rate=sum(rates) / len(scores) if rates else None,
            env_steps=sum(t.env_steps for t in trainings),
            eval_steps=sum(t.eval_steps for t in trainings) + sum(e.eval_steps for e in evaluations),
            failed=failed,
            trainings=tuple(t.model_copy(update={"policy": None}) for t in trainings),
            evaluations=tuple(evaluations),
        )

    def _train_job(self, design: Design, seed: int) -> Job:
        place = f"{design.name}-{seed}"
        job = {
            "step": place,
            "design": design.model_dump(mode="json"),
            "seed": seed,
            "features": [feature.model_dump(mode="json") for feature in self.card.features],
            "target_environment": self.card.spec.model_dump(mode="json"),
            "folder": str(self.folder / place),
            "relative": place,
            "until": design.steps,
            "chunk_steps": max(PROBE_STEPS, design.steps // CHUNKS),
            "validation_seeds": list(seeds(self.seed, "validation", VALIDATION_EPISODES, "bench")),
            "judge": self.card.judge.model_dump(mode="json"),
            "allow_unsandboxed": self.settings.allow_unsandboxed,
            "silence": self.settings.silence_seconds,
        }
        return Job(id=place, kind="train", payload={"job": job}, silence=self.settings.silence_seconds)

    def _judge(self, trainings: Sequence[Training], words: str) -> list[Evaluation]:
        jobs = []
        for training in trainings:
            assert training.policy is not None
            payload = {
                "policy_folder": str(self.folder / training.policy.path),
                "policy_hash": training.policy.hash,
                "environment": self.card.spec.model_dump(mode="json"),
                "seeds": list(seeds(self.seed, "confirm_eval", self.settings.eval_episodes)),
                "judge": self.card.judge.model_dump(mode="json"),
                "mode": None,
            }
            silence = self.settings.silence_seconds
            jobs.append(Job(id=training.step, kind="judge", payload=payload, silence=silence))
        results = self._do(jobs, "judge", f"judging what was trained {words}")
        found = {result.id: Evaluation.model_validate(result.value) for result in results}
        self.judged |= found
        return list(found.values())

    def _do(
        self, jobs: Sequence[Job], role: str, words: str, may_fail: Sequence[str] = ()
    ) -> list[JobResult]:
        """The jobs' results in their order. Raises every failure but those in ``may_fail``."""
        shares, found = dict[str, float](), dict[str, JobResult]()

        def progress(job: str, said: Mapping[str, Any]) -> None:
            if said.get("until"):
                self.heard[job] = int(said.get("steps", 0))
                shares[job] = min(1.0, self.heard[job] / said["until"])
                self.say(words, sum(shares.values()) / len(jobs))

        self.say(words, None)
        results = self.executor.run(jobs, role=role, progress=progress, interrupt=lambda: False)
        try:
            for result in results:
                raise_for_environment(result, self._design(None), self.card.spec)
                if not result.ok and result.error not in may_fail:
                    raise_from(result)
                shares[result.id], found[result.id] = 1.0, result
        finally:
            if hasattr(results, "close"):
                results.close()
        return [found[job.id] for job in jobs]

    def _bench(self, gates: Gates, mine: Trained | None = None, other: Trained | None = None) -> Bench:
        refusal = gates.refused
        found = compare("native", mine.scores, other.scores, self.seed) if mine and other else None
        arms = [arm for arm in (mine, other) if arm is not None]
        return Bench(
            program=self.program,
            environment=self.card.spec.id,
            judge=self.card.judge.words,
            accepted=refusal is None,
            refused_by=refusal.name if refusal else None,
            why=refusal.words if refusal else "",
            hint=refusal.hint if refusal else "",
            sentence=verdict_words(refusal, mine),
            gates=gates,
            trained=mine,
            native=other,
            comparison=found,
            against_native=comparison_words(mine, other, found, self.steps)
            if mine and other and found
            else "",
            diagnosis=self._diagnosis(mine, other) if mine else None,
            random_return=self.card.random.return_mean,
            card_steps=self.card.card_steps,
            env_steps=gates.env_steps + sum(arm.env_steps for arm in arms),
            eval_steps=sum(arm.eval_steps for arm in arms),
        )

    def _diagnosis(self, mine: Trained, other: Trained | None) -> Diagnosis:
        """Each training beside the native one of the same seed."""
        from experimenter.rl.diagnostics import diagnose

        design = self._design(self.program)
        beside = other.trainings if other is not None else (None,) * len(mine.trainings)
        return merged(
            [
                diagnose(training, self.judged.get(training.step), design, self.card, baseline)
                for training, baseline in zip(mine.trainings, beside, strict=True)
            ]
        )

    def _training(self, result: JobResult, design: Design, seed: int) -> Training:
        if result.ok:
            return Training.model_validate(result.value)
        steps = self.heard.get(result.id, 0)
        error = f"{result.message} {result.hint}".strip()[:2000]
        return Training(
            step=result.id,
            design=design.hash,
            seed=seed,
            status="failed",
            steps=steps,
            env_steps=steps,
            error=error,
        )


def _after_training(gates: Gates, mine: Trained) -> Gates:
    """The last gate: a program with which any training fails is refused there."""
    failures = [item for item in mine.trainings if item.status == "failed"]
    if not failures:
        return gates.model_copy(update={"layers": passed_until("", "", "", gates.level)})
    first = failures[0]
    count = "" if len(mine.trainings) == 1 else f"{len(failures)} of {len(mine.trainings)} trainings failed. "
    words = f"{count}After about {first.steps:,} steps: {' '.join(first.error.split())}"
    hint = "Bound what it pays, and guard what depends on values that random actions never meet."
    return gates.model_copy(update={"layers": passed_until("training", words, hint, gates.level)})
