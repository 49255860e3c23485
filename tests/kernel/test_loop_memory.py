"""What one run leaves, the next one finds: a skill, a confirmed design, a warm start that is tried beside scratch."""

from __future__ import annotations

import pytest

from experimenter.api import Experimenter
from experimenter.knowledge import lesson_weight
from experimenter.loop.witness import bear_witness
from experimenter.records import (
    Candidate,
    CurvePoint,
    Design,
    Evaluation,
    Lesson,
    Recollection,
    Task,
    Training,
    Trial,
)
from experimenter.workspace.store import Workspace
from tests.kernel.rl_samples import CARTPOLE, phase

DESIGN = Design(name="sample", phases=(phase(CARTPOLE, steps=1000),))
SETTINGS = {
    "budget_steps": 30_000,
    "confirm_seeds": 2,
    "designs": 3,
    "eval_episodes": 3,
    "card_steps": 200,
    "chunk_steps": 1024,
    "workers": 2,
    "controls": "none",
}


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """A first run on an empty memory, and a second one that remembers it."""
    root = tmp_path_factory.mktemp("memory") / "experiments"
    found = []
    for seed, target in ((0, 60.0), (1, 25.0)):
        lab = Experimenter("CartPole-v1", workspace=str(root), seed=seed, target=target, **SETTINGS)
        found.append(lab.run("keep the pole up"))
    with Workspace.open(root, create=False) as store:
        yield store, *found


def test_a_run_keeps_its_winner_as_a_skill_and_as_a_lesson(two_runs):
    store, first, _ = two_runs
    skill = next(item for item in store.skills() if item.run == first.run)
    lesson = next(item for item in store.lessons() if item.design is not None and first.run in item.trials[0])
    assert skill.score == lesson.interval == first.best.true_score
    assert skill.design == lesson.design and skill.design.start is None
    assert (store.root / "skills" / skill.name / "SKILL.md").is_file()
    assert skill.policy.path == f"skills/{skill.name}"


def test_the_second_run_tries_what_it_remembers_beside_the_native_design(two_runs):
    store, first, second = two_runs
    trial = store.trials(second.run)[0]
    assert trial.lever == "memory"
    by_origin = {item.design.origin: item for item in trial.candidates}
    assert "native" in by_origin
    learned = first.best.design.phases[-1]
    same = learned.model_copy(update={"steps": 1}) == by_origin["native"].design.phases[-1].model_copy(
        update={"steps": 1}
    )
    assert same or any(origin.startswith("memory:lesson:") for origin in by_origin)
    warm = next(item for item in trial.candidates if item.design.start is not None)
    skill = next(item for item in store.skills() if item.run == first.run)
    assert warm.design.start == skill.policy
    assert warm.training.curve[0].steps == 0, "what the policy can do already is looked at first"
    assert second.inherited_steps == skill.policy.lineage_steps > 0
    assert f"{second.inherited_steps:,} learning steps of earlier runs" in second.sentence


def test_a_warm_winner_is_confirmed_with_its_whole_lineage_from_scratch(two_runs):
    store, _, second = two_runs
    trial = store.trials(second.run)[0]
    assert trial.winner.design.start is not None, "this seed's winner started warm"
    assert second.best.design.start is None
    assert len(second.best.design.phases) == 2
    arm = store.document(second.run, "arm:winner")
    for step in arm["trainings"]:
        assert Training.model_validate(store.step(step)).policy.lineage_steps <= second.best.design.steps
    skill = next(item for item in store.skills() if item.run == second.run)
    assert skill.parents and skill.design.start is None


def test_a_first_run_recalls_nothing_of_its_own(two_runs):
    store, first, _ = two_runs
    trial = store.trials(first.run)[0]
    assert trial.lever == "native" and len(trial.candidates) == 1


def test_memory_off_reads_and_writes_nothing(two_runs, tmp_path):
    store, *_ = two_runs
    before = (len(store.lessons()), len(store.skills()), len(store.testimonies()))
    lab = Experimenter("CartPole-v1", workspace=str(store.root), seed=2, memory="off", **SETTINGS)
    found = lab.run("keep the pole up")
    assert store.trials(found.run)[0].lever == "native"
    assert before == (len(store.lessons()), len(store.skills()), len(store.testimonies()))


def lesson(effect: float | None = None, lever="reward") -> Lesson:
    evidence = {} if effect is None else {"effect": effect}
    return Lesson(
        id="l1", sentence="s", environment="CartPole-v1", lever=lever, trials=("old/t1",), evidence=evidence
    )


def candidate(origin: str, score: float) -> Candidate:
    evaluation = Evaluation(policy="p", judge="j", seeds=(1,), scores=(score,), mean=score)
    return Candidate(design=DESIGN.model_copy(update={"origin": origin}), evaluation=evaluation)


def trial(lever, *candidates: Candidate, effect: float | None = None) -> Trial:
    task = Task(name="x", sentence="s", environment=CARTPOLE, lever=lever)
    return Trial(id="t3", cycle=3, task=task, lever=lever, candidates=candidates, best=0, effect=effect)


@pytest.mark.parametrize(
    ("claimed", "found", "agrees"), [(5.0, 2.0, True), (5.0, -2.0, False), (-5.0, -2.0, True)]
)
def test_a_lesson_about_a_lever_is_contradicted_by_the_opposite_effect(claimed, found, agrees):
    told = bear_witness(
        "run", trial("reward", candidate("reward", 1.0), effect=found), recalled(lesson(claimed))
    )
    assert [(one.lesson, one.trial, one.agrees) for one in told] == [("l1", "run/t3", agrees)]


def test_nothing_is_said_of_other_levers_or_of_no_effect():
    for one in (
        trial("hyperparameters", candidate("x", 1.0), effect=3.0),
        trial("reward", candidate("x", 1.0)),
    ):
        assert bear_witness("run", one, recalled(lesson(5.0))) == ()


@pytest.mark.parametrize(("native", "agrees"), [(10.0, True), (90.0, False)])
def test_a_remembered_design_is_measured_against_the_native_one_beside_it(native, agrees):
    one = trial("memory", candidate("memory:lesson:l1", 50.0), candidate("native", native))
    told = bear_witness("run", one, recalled(lesson()))
    assert [item.agrees for item in told] == [agrees]


def test_contradictions_make_a_lesson_lighter():
    doubted = bear_witness("run", trial("reward", candidate("x", 1.0), effect=-1.0), recalled(lesson(5.0)))
    assert lesson_weight(lesson(5.0), doubted) < lesson_weight(lesson(5.0))


def recalled(*lessons: Lesson) -> Recollection:
    return Recollection(lessons=lessons)


def test_points_without_figures_say_nothing():
    bare = Candidate(design=DESIGN.model_copy(update={"origin": "native"}))
    curve = (CurvePoint(steps=10),)
    blank = Training(step="s", design="d", seed=0, status="finished", steps=10, env_steps=10, curve=curve)
    one = trial("memory", candidate("memory:lesson:l1", 5.0), bare.model_copy(update={"training": blank}))
    assert bear_witness("run", one, recalled(lesson())) == ()
