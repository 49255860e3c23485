"""From Python, after one real run: its skill acts, is judged, carried about, reported on; and rewards are benched."""

from __future__ import annotations

import math
import shutil

import gymnasium
import numpy as np
import pytest

from experimenter import Experimenter
from experimenter.errors import NotFound, UsageError
from experimenter.identity import seeds
from experimenter.policies.policy import load_policy

SETTINGS = {
    "budget_steps": 10_000,
    "confirm_seeds": 2,
    "designs": 1,
    "eval_episodes": 3,
    "card_steps": 200,
    "chunk_steps": 1024,
    "workers": 2,
    "controls": "none",
}
PROGRAM = 'def reward(t):\n    return {"upright": 1.0 - np.abs(t.next.pole_angle)}\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with one finished run, which kept a skill."""
    root = tmp_path_factory.mktemp("api") / "experiments"
    lab = Experimenter("CartPole-v1", workspace=root, **SETTINGS)
    result = lab.run("keep the pole up", name="pole")
    assert result.status == "finished" and lab.skills.list()
    return root


@pytest.fixture
def lab(home):
    return Experimenter("CartPole-v1", workspace=home, **SETTINGS)


@pytest.fixture
def name(lab):
    return lab.skills.list()[0].name


def episode(policy, env, seed):
    """A person's own loop, as Gymnasium's documentation writes it."""
    observation, _ = env.reset(seed=seed)
    policy.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        action = policy.act(observation)
        assert env.action_space.contains(action)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + reward, terminated or truncated
    return total


def test_a_skill_in_ones_own_loop_plays_the_judges_episodes(lab, name):
    policy, judged = lab.skills.policy(name), lab.skills.judge(name, episodes=3, seed=5)
    assert policy.skill == lab.skills.get(name) and policy.environment.id == "CartPole-v1"
    for env in (policy.make(), gymnasium.make("CartPole-v1")):
        with env:
            mine = tuple(episode(policy, env, seed) for seed in judged.evaluation.seeds)
        assert mine == judged.evaluation.scores
    assert judged.changes == () and lab.skills.changes(name) == ()


def test_pictures_come_from_the_same_environment(lab, name):
    with lab.skills.policy(name).make(pictures=True) as env:
        env.reset(seed=1)
        assert env.render().ndim == 3


@pytest.mark.parametrize(
    "wrong", [np.zeros(3), np.zeros((1, 4)), "up", None, {"position": 1.0}, [1.0, 2.0, 3.0, math.nan]]
)
def test_an_observation_of_another_form_is_refused_in_words(lab, name, wrong):
    with pytest.raises(UsageError, match="observation"):
        lab.skills.policy(name).act(wrong)


def test_all_names_of_one_policy_are_judged_alike(lab, name, tmp_path):
    result = lab.result("pole")
    by_run = [lab.judge(what, episodes=2, seed=4) for what in ("pole", result, result.best.trial)]
    assert by_run[0] == by_run[1] == by_run[2]
    written = lab.skills.export(name, tmp_path / "carried.zip")
    assert written.format == "zip"
    by_skill = [lab.judge(what, episodes=2, seed=4) for what in (name, tmp_path / "carried.zip")]
    assert by_skill[0] == by_skill[1] == lab.skills.judge(name, episodes=2, seed=4).evaluation
    assert by_skill[0].seeds == seeds(4, "confirm_eval", 2)


def test_a_bare_policy_folder_is_judged_and_acts(lab, tmp_path):
    folder = next(lab.workspace.glob("runs/pole/**/policy.json")).parent
    shutil.copytree(folder, tmp_path / "bare")
    found = lab.judge(tmp_path / "bare", episodes=2)
    assert found.mean == np.mean(found.scores) and load_policy(tmp_path / "bare", found.policy)
    assert lab.policy(tmp_path / "bare").act(np.zeros(4, np.float32)) in (0, 1)
    nowhere = Experimenter(workspace=lab.workspace)
    with pytest.raises(UsageError, match="Nobody knows where"):
        nowhere.judge(tmp_path / "bare")
    with pytest.raises(UsageError, match="Nobody knows where"):
        nowhere.policy(tmp_path / "bare").make()


def test_without_an_environment_one_may_look_but_not_run(lab, name):
    looking = Experimenter(workspace=lab.workspace)
    assert looking.judge(name, episodes=2) == lab.judge(name, episodes=2)
    assert looking.memory.search("pole") and looking.runs() == ("pole",)
    for ask in (looking.card, lambda: looking.run("try"), lambda: looking.bench(PROGRAM)):
        with pytest.raises(UsageError, match="No environment"):
            ask()


def test_parameters_of_the_laboratory_are_where_it_is_judged(lab, name):
    other = Experimenter("CartPole-v1", kwargs={"sutton_barto_reward": True}, workspace=lab.workspace)
    assert other.judge(name, episodes=2).mean <= 0 < lab.judge(name, episodes=2).mean


@pytest.mark.parametrize("what", ["pole/t99", "pol", "balance-nothing"])
def test_what_does_not_exist_is_not_judged(lab, what, tmp_path):
    with pytest.raises(NotFound):
        lab.judge(what)
    with pytest.raises(UsageError):
        lab.judge(tmp_path)


def test_reports_are_written_in_the_formats_that_were_asked(lab):
    written = lab.report(formats=("html", "md", "card"))
    assert written["html"].read_text().startswith("<!doctype html>")
    assert "keep the pole up" in written["md"].read_text() and "CartPole-v1" in written["card"].read_text()
    assert set(lab.report("pole")) == {"html"}
    with pytest.raises(UsageError, match="pdf"):
        lab.report(formats=("pdf",))


def test_films_stand_beside_the_report_and_in_a_file(lab, name, tmp_path):
    written = lab.report("pole", formats=("md",), films=True)
    assert (written["md"].parent / "media" / "winner.gif").exists()
    played = lab.skills.film(name, tmp_path / "pole.gif", episodes=2, seed=3)
    assert (tmp_path / "pole.gif").read_bytes().startswith(b"GIF8") and len(played) == 2
    told = lab.skills.play(name, seed=3)
    assert told.native_return == played[0].native_return and len(told.lines) == told.length + 1
    with pytest.raises(UsageError, match=r"\.gif"):
        lab.skills.film(name, tmp_path / "pole.avi")


def test_a_skill_goes_to_another_workspace_and_is_removed_there(lab, name, tmp_path):
    lab.skills.export(name, tmp_path / "carried")
    other = Experimenter("CartPole-v1", workspace=tmp_path / "other")
    taken = other.skills.load(tmp_path / "carried", name="borrowed")
    assert [one.name for one in other.skills.list()] == ["borrowed"] and taken.policy.hash
    assert other.judge("borrowed", episodes=2) == lab.judge(name, episodes=2)
    assert any(one.item.id == "skill:borrowed" for one in other.memory.search("pole", kinds=("skill",)))
    (other.workspace / "skills" / "borrowed" / "policy.safetensors").write_bytes(b"torn")
    assert other.skills.list() == () and "borrowed" in other.skills.damaged()
    other.skills.remove("borrowed")
    assert other.skills.damaged() == {} and other.memory.items(("skill",)) == ()


def test_an_exported_graph_says_how_closely_it_acts(lab, name, tmp_path):
    pytest.importorskip("onnx")
    written = lab.skills.export(name, tmp_path / "policy.onnx")
    assert written.format == "onnx" and written.difference <= 1e-5 and written.observations >= 1_000


def test_a_second_run_is_told_of_the_first(lab):
    lessons = lab.memory.search("keep the pole up", kinds=("lesson",))
    assert lessons and {one.item.spec.id for one in lessons} == {"CartPole-v1"}
    assert any(lesson.design is not None for lesson in lab.memory.lessons())


def test_trials_are_explained_and_events_told_again(lab):
    best = lab.explain(lab.result("pole").best.trial)[0]
    assert best.best and best.steps > 0
    kinds = [event.kind for event in lab.follow("pole")]
    assert kinds[0] == "run.created" and kinds[-1] == "run.finished"


def test_rewards_are_benched_from_their_source_or_a_file(lab, tmp_path):
    (tmp_path / "upright.py").write_text(PROGRAM)
    (tmp_path / "upright.txt").write_bytes(b"\xff\xfe\x00")
    found = lab.bench(tmp_path / "upright.py", steps=0)
    assert found.accepted and found.trained is None and found.program.name == "upright"
    refused = lab.bench('def reward(t):\n    return {"x": open("/etc/passwd")}\n', steps=0)
    assert not refused.accepted and refused.refused_by == "static" and refused.why
    assert lab.bench(tmp_path / "upright.txt", steps=0).refused_by == "file"
    for wrong in ("upright.py", "", tmp_path / "missing.py"):
        with pytest.raises(UsageError):
            lab.bench(wrong, steps=0)


def test_methods_are_listed(lab):
    assert {"potential-shaping", "snapshot-starts"} <= {method.name for method in lab.methods()}
