"""The skill library: what is kept can be used again, and what was tampered with cannot."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.contracts import SkillLibrary
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import NotFound, UsageError, WorkspaceError
from experimenter.policies.actions import head_for
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, load_policy, save_policy, shape_for
from experimenter.records import EnvSpec, Interval, Network, PolicyRef, RewardProgram, Skill
from experimenter_skills.card import LONGEST_DESCRIPTION, skill_card
from experimenter_skills.library import FolderLibrary

CART = EnvSpec(id="CartPole-v1")
SEEING = spaces.Box(
    np.array([-4.8, -np.inf, -0.41887903, -np.inf], np.float32),
    np.array([4.8, np.inf, 0.41887903, np.inf], np.float32),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def a_policy(seed=0):
    network, acting = Network(hidden=(8,)), spaces.Discrete(2)
    pipeline = Pipeline.for_space(SEEING)
    shape = shape_for(pipeline.size, network, head_for(acting))
    params = views(initial_params(shape, np.random.default_rng(seed)), shape)
    return Policy(pipeline, None, network, params, space_to_json(SEEING), space_to_json(acting))


def a_skill(name="balance-pole", hash_="0" * 32, **changes):
    plain = {
        "name": name,
        "description": "Balances a pole on a cart.",
        "environment": CART,
        "environment_hash": CART.hash,
        "policy": PolicyRef(path="runs/r1/trials/t001/policy", hash=hash_, lineage_steps=50_000),
        "judge": "return >= 475",
        "score": Interval(iqm=481.2, low=470.0, high=495.5, seeds=5),
        "success_rate": 0.85,
        "reward": RewardProgram(name="upright", source="def reward(t):\n    return {'up': t.now.angle}\n"),
        "run": "r1",
        "trial": "t001",
    }
    return Skill(**{**plain, **changes})


@pytest.fixture
def stored(tmp_path):
    folder = tmp_path / "trained"
    return folder, save_policy(folder, a_policy())


def test_it_keeps_the_contract():
    assert isinstance(FolderLibrary(), SkillLibrary) and FolderLibrary.contract == 1


def test_what_is_kept_comes_back_and_is_complete_without_the_training(stored, tmp_path):
    source, hash_ = stored
    library, root = FolderLibrary(), tmp_path / "experiments"
    folder = library.keep(a_skill(hash_=hash_), source, root)
    shutil.rmtree(source)
    skill, place = library.load("balance-pole", root)
    assert place == folder == root / "skills" / "balance-pole"
    assert skill.policy.path == "skills/balance-pole"
    assert skill == a_skill(
        hash_=hash_, policy=PolicyRef(path=skill.policy.path, hash=hash_, lineage_steps=50_000)
    )
    observation = np.zeros((3, 4), np.float32)
    rng = np.random.default_rng(0)
    assert (
        load_policy(place).act(observation, "greedy", rng) == a_policy().act(observation, "greedy", rng)
    ).all()
    assert {p.name for p in place.iterdir()} == {
        "SKILL.md",
        "skill.json",
        "policy.safetensors",
        "policy.json",
    }
    assert library.names(root) == ("balance-pole",)
    assert [p.name for p in (root / "skills").iterdir()] == ["balance-pole"]


def test_keeping_the_same_skill_again_changes_nothing(stored, tmp_path):
    source, hash_ = stored
    library = FolderLibrary()
    folder = library.keep(a_skill(hash_=hash_), source, tmp_path)
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()}
    assert library.keep(a_skill(hash_=hash_), source, tmp_path) == folder
    assert before == {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()}


def test_a_taken_name_is_refused_and_the_first_skill_stays(stored, tmp_path):
    source, hash_ = stored
    library = FolderLibrary()
    library.keep(a_skill(hash_=hash_), source, tmp_path)
    with pytest.raises(UsageError, match="Another skill"):
        library.keep(a_skill(hash_=hash_, description="Something else."), source, tmp_path)
    assert library.load("balance-pole", tmp_path)[0].description == "Balances a pole on a cart."


BAD_NAMES = [
    "",
    "..",
    "../up",
    "a/b",
    "A",
    "1a",
    "-a",
    "a_b",
    "a b",
    "a\n",
    "é",
    "a" * 65,
    "/etc",
    "a\0",
    ".hidden",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_invalid_names_are_refused_before_anything_is_touched(stored, tmp_path, name):
    source, hash_ = stored
    root = tmp_path / "experiments"
    with pytest.raises(UsageError) as caught:
        FolderLibrary().load(name, root)
    assert not isinstance(caught.value, NotFound)
    with pytest.raises(UsageError):
        FolderLibrary().keep(a_skill(name, hash_), source, root)
    assert not root.exists()


def test_a_policy_that_is_not_the_promised_one_is_not_kept(stored, tmp_path):
    source, _ = stored
    with pytest.raises(WorkspaceError):
        FolderLibrary().keep(a_skill(hash_="0" * 32), source, tmp_path)
    with pytest.raises(WorkspaceError):
        FolderLibrary().keep(a_skill(), tmp_path / "nowhere", tmp_path)
    assert not (tmp_path / "skills").exists()


def damage(folder, how):
    if how == "weights":
        data = bytearray((folder / "policy.safetensors").read_bytes())
        data[-1] ^= 1
        (folder / "policy.safetensors").write_bytes(bytes(data))
    elif how == "another policy":
        save_policy(folder, a_policy(seed=1))
    elif how == "torn record":
        (folder / "skill.json").write_text((folder / "skill.json").read_text()[:40])
    elif how == "another's record":
        text = (folder / "skill.json").read_text()
        (folder / "skill.json").write_text(text.replace('"name":"balance-pole"', '"name":"other"'))
    elif how == "no policy":
        (folder / "policy.json").unlink()


@pytest.mark.parametrize("how", ["weights", "another policy", "torn record", "another's record", "no policy"])
def test_damage_is_noticed_at_load_and_repaired_by_keeping_again(stored, tmp_path, how):
    source, hash_ = stored
    library = FolderLibrary()
    folder = library.keep(a_skill(hash_=hash_), source, tmp_path)
    damage(folder, how)
    with pytest.raises(WorkspaceError) as caught:
        library.load("balance-pole", tmp_path)
    assert str(folder) in str(caught.value) and caught.value.hint
    library.keep(a_skill(hash_=hash_), source, tmp_path)
    assert library.load("balance-pole", tmp_path)[1] == folder
    assert len(list((tmp_path / "skills").glob(".balance-pole.*.damaged"))) == 1
    assert library.names(tmp_path) == ("balance-pole",)


def test_an_unknown_skill_is_answered_with_the_nearest_name(stored, tmp_path):
    source, hash_ = stored
    FolderLibrary().keep(a_skill(hash_=hash_), source, tmp_path)
    with pytest.raises(NotFound, match="balance-pole"):
        FolderLibrary().load("balance-pol", tmp_path)
    with pytest.raises(NotFound, match="none yet"):
        FolderLibrary().load("anything", tmp_path / "empty")


def test_names_pass_over_what_is_no_skill(stored, tmp_path):
    source, hash_ = stored
    folder = FolderLibrary().keep(a_skill(hash_=hash_), source, tmp_path)
    (folder.parent / "notes").mkdir()
    (folder.parent / "file").write_text("x")
    shutil.copytree(folder, folder.parent / ".balance-pole.ab12.aside")
    (folder.parent / "link").symlink_to(folder)
    assert FolderLibrary().names(tmp_path) == ("balance-pole",)
    with pytest.raises(NotFound):
        FolderLibrary().load("link", tmp_path)


def test_an_unwritable_place_is_a_workspace_error_and_leaves_nothing(stored, tmp_path):
    source, hash_ = stored
    (tmp_path / "experiments").write_text("a file in the way")
    with pytest.raises(WorkspaceError):
        FolderLibrary().keep(a_skill(hash_=hash_), source, tmp_path / "experiments")


def front_matter(card):
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))


def test_the_card_says_what_a_person_needs(tmp_path):
    card = skill_card(a_skill())
    assert front_matter(card) == {"name": "balance-pole", "description": "Balances a pole on a cart."}
    for words in (
        "481.2",
        "470 to 495.5",
        "0.85",
        "CartPole-v1",
        "return \\>= 475",
        "50,000",
        "def reward(t):",
    ):
        assert words in card
    assert "experimenter judge balance-pole --env CartPole-v1" in card


@pytest.mark.parametrize("name", ["no", "null", "true", "on", "e5"])
def test_names_that_yaml_would_read_as_something_else_stay_names(name):
    assert front_matter(skill_card(a_skill(name)))["name"] == name


@settings(max_examples=200, deadline=None)
@given(texts, texts, texts)
def test_no_text_escapes_from_its_place_in_the_card(description, source, judge):
    hostile = "x\n---\nname: evil\n```\n<script>|`" + description
    reward = RewardProgram(name="r", source="```\n````\n# Title\n" + source)
    card = skill_card(a_skill(description=hostile, reward=reward, judge="| x |\n# y <b>" + judge))
    front = front_matter(card)
    assert set(front) == {"name", "description"} and front["name"] == "balance-pole"
    assert "\n" not in front["description"] and len(front["description"]) <= LONGEST_DESCRIPTION
    rest = card.split("\n---\n", 1)[1]
    outside = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", rest)
    headings = [line for line in outside.split("\n") if line.startswith("#")]
    assert headings == [
        "# balance-pole",
        "## Evidence",
        "## Reward program",
        "## Loading, judging and playing it",
    ]
    assert not re.search(r"(?<!\\)<", outside)


def test_the_cards_own_code_judges_the_skill(stored, tmp_path):
    source, hash_ = stored
    card = (FolderLibrary().keep(a_skill(hash_=hash_), source, tmp_path) / "SKILL.md").read_text()
    (code,) = re.findall(r"(?s)```python\n(from pathlib.*?)\n```", card)
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert 5 < float(ran.stdout) <= 500
