"""Records that the workspace's tests store and find again."""

from __future__ import annotations

from pathlib import Path

from experimenter.records import (
    Budget,
    Candidate,
    Design,
    EnvSpec,
    Evaluation,
    Goal,
    Interval,
    Lesson,
    Phase,
    PolicyRef,
    RewardProgram,
    Skill,
    Task,
    Testimony,
    Training,
    Trial,
    TrueReturn,
    WeightedEnv,
)
from experimenter.workspace.store import RunRecord, Workspace

SPEC = EnvSpec(id="CartPole-v1", kwargs={"sutton_barto_reward": True})


def run_record(name: str = "balance", wish: str = "balance the pole", **changes: object) -> RunRecord:
    goal = Goal(wish=wish, environment=SPEC, budget=Budget(env_steps=10_000), seed=3)
    return RunRecord(id=name, goal=goal, settings={"designs": 2}, command=("experimenter", "run"), **changes)


def design() -> Design:
    reward = RewardProgram(name="upright", source="def reward(t):\n    return {'up': t.now.angle}\n")
    phase = Phase(environments=(WeightedEnv(environment=SPEC),), reward=reward, steps=4096)
    return Design(name="first", phases=(phase,))


def trial(name: str = "trial_0", verdict: str = "stood out") -> Trial:
    score = TrueReturn(21.5)
    one = Candidate(
        design=design(),
        training=Training(
            step="s", design=design().hash, seed=1, status="finished", steps=4096, env_steps=4096
        ),
        evaluation=Evaluation(policy="p", judge="j", seeds=(7,), scores=(score,), mean=score),
    )
    task = Task(name="stay_up", sentence="Stay up", environment=SPEC)
    return Trial(id=name, cycle=0, task=task, lever="reward", candidates=(one,), best=0, verdict=verdict)


def lesson(name: str = "lesson_0") -> Lesson:
    return Lesson(
        id=name, sentence="Été: small angles pay.", environment=SPEC.id, lever="reward", trials=("trial_0",)
    )


def a_testimony(
    lesson_id: str = "lesson_0", trial_id: str = "later/trial_3", agrees: bool = True
) -> Testimony:
    return Testimony(lesson=lesson_id, trial=trial_id, agrees=agrees, effect=2.5 if agrees else -2.5)


def skill(name: str = "stand-up") -> Skill:
    return Skill(
        name=name,
        description="Stands up",
        environment=SPEC,
        environment_hash=SPEC.hash,
        policy=PolicyRef(path="skills/stand-up", hash="0" * 32, lineage_steps=4096),
        judge="return",
        score=Interval(iqm=21.5, low=20.0, high=23.0, seeds=5),
    )


def opened(root: Path, *runs: str) -> Workspace:
    """A fresh workspace with runs of these names."""
    workspace = Workspace.open(root)
    for name in runs:
        workspace.create_run(run_record(name))
    return workspace
