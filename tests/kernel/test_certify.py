"""A certificate comes out of a real run: the policy chosen on validation episodes, the evidence from held-out ones."""

from __future__ import annotations

import pytest

from experimenter import plugins
from experimenter.api import Experimenter
from experimenter.errors import UsageError
from experimenter.identity import seeds, valid_name
from experimenter.judge.statistics import interval
from experimenter.loop import skills
from experimenter.loop.assemble import open_context
from experimenter.loop.certify import certify, confirmed, fingerprint_of, skill_name
from experimenter.policies.policy import load_policy
from experimenter.records import SKILL_NAME, Training
from experimenter.workspace.store import Workspace

SETTINGS = {
    "budget_steps": 8_000,
    "confirm_seeds": 2,
    "designs": 2,
    "eval_episodes": 3,
    "card_steps": 200,
    "chunk_steps": 1024,
    "workers": 2,
    "controls": "none",
    "memory": "off",
    "judge": "length>=20",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run's workspace, its confirmation, and the fingerprint of its environment."""
    root = tmp_path_factory.mktemp("certify") / "experiments"
    found = Experimenter("CartPole-v1", workspace=str(root), **SETTINGS).run("Keep the pole up, please!")
    with Workspace.open(root, create=False) as store:
        ctx = open_context(store, found.run, lambda: False)
        ctx.executor.close()
        return root, confirmed(ctx), fingerprint_of(ctx.card.spec)


def test_the_certificate_holds_the_evidence_of_the_run(done):
    root, found, fingerprint = done
    skill = certify(found, fingerprint, seed=3, parents=("older",), versions={"numpy": "2"})
    assert skill.name == "keep-the-pole-up-please-cartpole" and "Keep the pole up" in skill.description
    assert skill.environment_hash == fingerprint.hash and skill.fingerprint == fingerprint
    assert skill.score == found.arm.interval and skill.success_rate == found.arm.success_rate
    assert skill.success == interval(found.arm.success_rates, 3) and skill.success.seeds == 2
    assert len(skill.episodes.seeds) == 3 and set(skill.episodes.seeds) == set(seeds(0, "confirm_eval", 3))
    assert skill.episodes.policy == skill.policy.hash
    assert skill.judge_spec == found.card.judge and "20" in skill.judge
    assert skill.design.start is None and skill.design.steps <= 8_000
    assert skill.parents == ("older",) and {"numpy", "gymnasium"} <= set(skill.versions)
    assert 5 < skill.random_score < 60
    load_policy(root / skill.policy.path, skill.policy.hash)


def test_rates_of_the_seeds_are_those_of_the_judge(done):
    _, found, _ = done
    assert len(found.arm.success_rates) == len(found.arm.scores) == 2
    rates = [found.evaluations[training.policy.hash].success_rate for training in found.trainings]
    assert tuple(rates) == found.arm.success_rates
    assert found.arm.success_rate == pytest.approx(sum(rates) / 2)


def test_the_policy_is_chosen_by_validation_and_never_by_held_out_scores(done):
    _, found, fingerprint = done
    first, second = found.trainings

    def validated(training, score):
        points = tuple(point.model_copy(update={"true_return": score}) for point in training.curve)
        return training.model_copy(update={"curve": points})

    for low, high, chosen in ((10.0, 90.0, second), (90.0, 10.0, first)):
        pair = (validated(first, low), validated(second, high))
        flattered = {
            key: one.model_copy(update={"mean": 500.0 if key != chosen.policy.hash else 0.0})
            for key, one in found.evaluations.items()
        }
        told = replaced(found, trainings=pair, evaluations=flattered)
        assert certify(told, fingerprint, seed=0).policy == chosen.policy


def replaced(found, **what):
    import dataclasses

    return dataclasses.replace(found, **what)


def test_a_kept_certificate_is_listed_and_judged(done):
    root, found, fingerprint = done
    skill = certify(found, fingerprint, seed=0)
    library = plugins.load("skills", "folders")()
    library.keep(skill, root / skill.policy.path, root)
    assert [one.name for one in skills.shelf(root).skills] == [skill.name]
    judged = skills.judge_skill(root, skill.name, 3, 0)
    assert judged.changes == () and judged.evaluation == skill.episodes


def test_no_policy_no_skill(done):
    _, found, fingerprint = done
    failed = tuple(
        Training(step=one.step, design=one.design, seed=one.seed, status="failed", steps=0, env_steps=0)
        for one in found.trainings
    )
    with pytest.raises(UsageError, match="no skill"):
        certify(replaced(found, trainings=failed), fingerprint, seed=0)


@pytest.mark.parametrize(
    ("wish", "env", "name"),
    [
        ("open the last door", "MiniGrid-DoorKey-8x8-v0", "open-the-last-door-minigrid-doorkey-8x8"),
        ("", "mine:Lift-v3", "lift"),
        ("Öl! ../../etc", "7up-v0", "l-etc-7up"),
        ("", "7-v0", "skill-7"),
        ("x" * 300, "CartPole-v1", "cartpole"),
        ("日本語", "日本語", "skill"),
    ],
)
def test_names_are_valid_whatever_was_wished(wish, env, name):
    assert skill_name(wish, env) == name and valid_name(name, SKILL_NAME)
    second = skill_name(wish, env, [name])
    assert second == f"{name}-2" and skill_name(wish, env, [name, second]) == f"{name}-3"
