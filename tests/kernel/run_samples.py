"""A whole run, written through the workspace's own interface, for the faces and the report to show."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from experimenter.budget import Ledger
from experimenter.envs.records import EnvCard, Feature, FeatureSource, Parameter, RandomRollouts
from experimenter.identity import step_id
from experimenter.judge.statistics import compare, interval
from experimenter.records import (
    Arm,
    Budget,
    Candidate,
    ComponentTrace,
    CurvePoint,
    Design,
    Diagnosis,
    EnvSpec,
    Evaluation,
    Fault,
    Goal,
    JudgeSpec,
    Lesson,
    Lever,
    Phase,
    PolicyRef,
    RewardProgram,
    ShapedReturn,
    Task,
    Training,
    Trial,
    TrueReturn,
    WeightedEnv,
)
from experimenter.results import (
    Best,
    Confirmation,
    ControlResult,
    RunResult,
    confirmation_document,
    earlier_confirmations,
)
from experimenter.workspace.store import RunRecord, Workspace

SPEC = EnvSpec(id="MountainCar-v0")
JUDGE = JudgeSpec(
    kind="return_at_least",
    threshold=-110.0,
    declared_by="goal",
    words="an episode succeeds when its return is at least -110",
)
SOURCE = '''def reward(t):
    """Pays for height, and for speed on the way up."""
    # potential differences cannot be farmed by standing still
    height_now = np.sin(3.0 * t.now.position)
    height_next = np.sin(3.0 * t.next.position)
    faster = np.abs(t.next.velocity) - np.abs(t.now.velocity)
    return {
        "higher": 5.0 * (t.gamma * height_next - height_now),
        "faster": 40.0 * faster,
        "arrived": 100.0 * t.terminated,
    }
'''
HOSTILE = '\x1b]0;owned\x07<script>alert("x")</script>[bold]&{{}}\x1b[31m\u202e'


def goal(wish: str = "reach the flag", steps: int = 1_000_000) -> Goal:
    return Goal(wish=wish, environment=SPEC, judge="return>=-110", budget=Budget(env_steps=steps), seed=7)


def record(name: str = "reach_the_flag", wish: str = "reach the flag") -> RunRecord:
    return RunRecord(
        id=name,
        goal=goal(wish),
        settings={"controls": "native", "confirm_seeds": 5, "memory": "off", "budget_seconds": None},
        created="2026-11-21T10:00:00+00:00",
        versions={"python": "3.11.7", "numpy": "2.3.0", "gymnasium": "1.2.0"},
        command=("/usr/bin/experimenter", "run", wish, "--env", "MountainCar-v0", "--seed", "7"),
    )


def card() -> EnvCard:
    def feature(name: str, index: int, low: float, high: float, unit: str) -> Feature:
        source = FeatureSource(index=index)
        return Feature(
            name=name,
            description=f"{name} of the car along the x-axis",
            unit=unit,
            low=low,
            high=high,
            measured_low=low * 0.9,
            measured_high=high * 0.8,
            origin="docstring",
            source=source,
        )

    return EnvCard(
        spec=SPEC,
        title="Mountain Car",
        summary="A car in a valley must build up momentum to reach the flag on the right hill.",
        observation_space={"type": "Box", "shape": [2], "dtype": "float32"},
        action_space={"type": "Discrete", "n": 3},
        action_kind="discrete",
        action_meanings=("accelerate left", "coast", "accelerate right"),
        features=(
            feature("position", 0, -1.2, 0.6, "m"),
            feature("velocity", 1, -0.07, 0.07, "m/step"),
        ),
        parameters=(Parameter(name="goal_velocity", type="float", default=0.0),),
        random=RandomRollouts(
            episodes=10,
            steps=2000,
            reward_min=-1,
            reward_mean=-1,
            reward_max=-1,
            reward_distinct=1,
            nonzero_share=1.0,
            return_mean=-200,
            return_std=0,
            length_mean=200,
            length_max=200,
            terminated_share=0.0,
        ),
        max_episode_steps=200,
        reward_threshold=-110.0,
        judge=JUDGE,
        card_steps=2000,
    )


def design(name: str, steps: int, reward: bool = True) -> Design:
    program = RewardProgram(name="climb_and_speed", source=SOURCE) if reward else None
    phase = Phase(environments=(WeightedEnv(environment=SPEC),), reward=program, steps=steps)
    return Design(name=name, phases=(phase,))


def training(step: str, one: Design, seed: int, top: float, rate: float) -> Training:
    """A curve that climbs from -200 to about ``top``, in sixteen chunks."""
    rng = np.random.default_rng(seed)
    points = []
    for chunk in range(1, 17):
        share = 1 / (1 + math.exp(-rate * (chunk - 7)))
        value = -200 + (top + 200) * share + float(rng.normal(0, 3)) * share
        points.append(
            CurvePoint(
                steps=one.steps * chunk // 16,
                true_return=TrueReturn(min(value, -90.0)),
                shaped_return=ShapedReturn(10 * share),
                reach=min(1.0, 0.2 + share),
            )
        )
    traces = (
        ComponentTrace(
            name="higher", minimum=(-0.3,), mean=(0.01, 0.05), maximum=(0.4,), share=0.52, correlation=0.8
        ),
        ComponentTrace(name="faster", minimum=(-0.1,), mean=(0.0, 0.002), maximum=(0.1,), share=0.08),
        ComponentTrace(
            name="arrived", minimum=(0.0,), mean=(0.0, 0.8), maximum=(100.0,), share=0.4, correlation=0.99
        ),
    )
    return Training(
        step=step,
        design=one.hash,
        seed=seed,
        status="finished",
        steps=one.steps,
        env_steps=one.steps,
        eval_steps=2000,
        policy=PolicyRef(path=f"runs/x/{step}", hash="0" * 32, lineage_steps=one.steps),
        curve=tuple(points),
        components=traces if one.phases[-1].reward else (),
        reach=0.83,
    )


def evaluation(mean: float, rate: float | None) -> Evaluation:
    scores = tuple(TrueReturn(mean + shift) for shift in (-4.0, 0.0, 4.0))
    return Evaluation(
        policy="p",
        judge=JUDGE.words,
        seeds=(1, 2, 3),
        scores=scores,
        mean=TrueReturn(mean),
        success_rate=rate,
    )


def trial(cycle: int, lever: Lever, score: float, *, sentence: str = "Climb the hill") -> Trial:
    best, other = design(f"climb_{cycle}", 100_000, lever == "reward"), design(f"slow_{cycle}", 25_000, False)
    fault = Fault(name="plateau", detail="no gain over the last half of the curve")
    candidates = (
        Candidate(
            design=best,
            training=training(f"t{cycle}a", best, cycle, score, 0.9),
            evaluation=evaluation(score, 0.6 if score > -130 else 0.0),
            diagnosis=Diagnosis(faults=(fault,) if cycle == 0 else (), curve="converged"),
            rung=3,
        ),
        Candidate(design=other, rung=1, discarded="lower half of rung 1", repairs=1),
        Candidate(
            design=other.model_copy(update={"name": f"broken_{cycle}"}), discarded="check failed: not finite"
        ),
    )
    task = Task(
        name=f"climb_{cycle}", sentence=sentence, environment=SPEC, lever=lever, reason="The flag is high."
    )
    effect = None if cycle == 0 else score + 140.0
    return Trial(
        id=f"t{cycle}",
        cycle=cycle,
        task=task,
        lever=lever,
        candidates=candidates,
        best=0,
        effect=effect,
        verdict="Height alone was not enough; speed on the way up was.",
    )


def arm(store: Workspace, run: str, name: str, one: Design, top: float, rate: float, spread: float) -> Arm:
    scores = [top + spread * k for k in (-2.0, -1.0, 0.0, 1.0, 2.5)]
    steps = []
    for index, score in enumerate(scores):
        step = step_id(run=run, cycle=9, kind="train", index=index, design=name)
        found = training(step, one, index + 11, score, rate)
        store.finish_step(run, step, "train", found.model_dump(mode="json"))
        steps.append(step)
    return Arm(
        name=name,
        trainings=tuple(steps),
        scores=tuple(TrueReturn(score) for score in scores),
        interval=interval(scores, 7),
        success_rate=0.9 if top > -120 else 0.15,
        env_steps=one.steps * 5,
    )


def begin(store: Workspace, name: str = "reach_the_flag", wish: str = "reach the flag") -> RunRecord:
    """A run that has its card and three trials, and no verdict yet."""
    one = record(name, wish)
    store.create_run(one)
    store.put_document(name, "card", card().model_dump(mode="json"))
    store.put_document(
        name, "plan", {"v": 1, "design_steps": 100_000, "chunk_steps": 12_500, "reserve": 500_000}
    )
    store.emit(name, "run.created", {"wish": wish})
    levers: tuple[tuple[Lever, float], ...] = (
        ("native", -198.0),
        ("reward", -104.5),
        ("hyperparameters", -118.0),
    )
    for cycle, (lever, score) in enumerate(levers):
        step = step_id(run=name, cycle=cycle, kind="remember", index=0)
        lesson = Lesson(
            id=f"{name}{cycle}",
            sentence="Potential differences of height made the flag reachable.",
            environment=SPEC.id,
            lever=lever,
            trials=(f"{name}/t{cycle}",),
        )
        store.finish_step(
            name,
            step,
            "remember",
            {"trial": f"t{cycle}"},
            spend=Ledger(env_steps=150_000, eval_steps=12_000, seconds=31.5),
            trial=trial(cycle, lever, score),
            lesson=lesson,
        )
        store.emit(name, "remember.finished", {"trial": f"t{cycle}", "lever": lever, "true_score": score})
    return one


def finish(store: Workspace, name: str = "reach_the_flag") -> RunResult:
    """The arms, the comparison and the verdict of a run that ``begin`` began."""
    winner = arm(store, name, "winner", design("climb_1", 100_000), -103.0, 1.1, 2.0)
    native = arm(store, name, "native", design("native", 190_000, False), -148.0, 0.5, 9.0)
    versus = compare("native", winner.scores, native.scores, 7)
    for one in (winner, native):
        store.put_document(name, f"arm:{one.name}", one.model_dump(mode="json"))
    store.put_document(name, "comparison:native", versus.model_dump(mode="json"))
    store.spend(
        name,
        Ledger(env_steps=500_000, control_env_steps=950_000, eval_steps=40_000, card_steps=2000, seconds=140),
    )
    result = RunResult(
        run=name,
        status="finished",
        planner="search",
        judge=JUDGE.words,
        environment=SPEC.id,
        wish="reach the flag",
        sentence=(
            "The best design (trial t1) reached a true score of -103.0 (interquartile mean over 5 fresh training "
            "seeds, 95 % interval -106.3 to -99). The design that the run found helped against the native control "
            "(native reward, shipped defaults, equal steps): difference +44, p = 0.008. "
            "Cost: 950,000 learning steps in 3 trials, 6 of 9 candidate designs discarded."
        ),
        why_ended="the budget of 1,000,000 learning steps is spent",
        verdict={"native": versus},
        best=Best(
            trial=f"{name}/t1",
            design=design("climb_1", 100_000),
            true_score=winner.interval,
            success_rate=winner.success_rate,
            scores=tuple(float(s) for s in winner.scores),
        ),
        controls={"native": ControlResult(true_score=native.interval, success_rate=native.success_rate)},
        ledger=store.ledger(name),
        trials=3,
        discarded=6,
        containment="full",
    )
    store.put_document(name, "result", result.model_dump(mode="json"))
    store.set_status(name, "finished")
    return result


def confirm_before(store: Workspace, name: str = "reach_the_flag") -> RunResult:
    """As if the run had confirmed another trial before: stored as the loop stores it, and told in the result."""
    before = arm(store, name, "winner", design("climb_2", 80_000), -131.0, 0.7, 3.0)
    kept = Confirmation(number=0, trial="t2", steps=80_000, arm=before)
    store.put_document(name, confirmation_document(0), kept.model_dump(mode="json"))
    store.put_document(name, "winner", {"trial": "t1", "steps": 100_000, "number": 1})
    result = RunResult.model_validate(store.document(name, "result"))
    earlier = earlier_confirmations(name, store.documents(name))
    result = result.model_copy(update={"earlier": earlier})
    store.put_document(name, "result", result.model_dump(mode="json"))
    return result


def whole_run(root: Path) -> Path:
    """A workspace in ``root`` with one finished run."""
    with Workspace.open(root) as store:
        begin(store)
        finish(store)
    return root
