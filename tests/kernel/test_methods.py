"""Methods of strangers, installed for real, act like shipped ones; what is wrong with a design is said in words."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from experimenter.errors import ConfigError, NotFound, ProgramRejected, TrainingFault, UsageError
from experimenter.methods import apply_reward_method, check_methods, method, method_faults, methods, written
from experimenter.records import Design, MethodUse, Training
from experimenter.rl.diagnostics import diagnose
from experimenter.rl.training import train
from tests.kernel.cards import mountain_car
from tests.kernel.rl_samples import CAR_FEATURES, CARTPOLE, MOUNTAIN_CAR, SWING, job, phase, quiet
from tests.kernel.test_plugins import install

ROOT = Path(__file__).resolve().parents[2]
CARD = "---\nname: {name}\ndescription: For tests.\n---\n\n## When to use it\n\nAlways.\n\n## What it needs\n\nLuck.\n"
HOOKS = """
import gymnasium
from experimenter.records import Fault, Record, RewardProgram


class None_(Record):
    pass


class Louder(Record):
    factor: float = 2.0


class Double:
    contract, name, kind, Parameters = 1, "double", "wrapper", Louder

    def wrap(self, environment, parameters):
        return gymnasium.wrappers.TransformReward(environment, lambda r: r * parameters["factor"])


class Turned:
    contract, name, kind, Parameters = 1, "turned", "wrapper", None_

    def wrap(self, environment, parameters):
        return gymnasium.wrappers.TransformAction(environment, lambda a: a, gymnasium.spaces.Discrete(5))


class Nothing:
    contract, name, kind, Parameters = 1, "nothing", "wrapper", None_

    def wrap(self, environment, parameters):
        return None


class Short:
    contract, name, kind, Parameters = 1, "short", "diagnostic", None_

    def diagnose(self, training, evaluation, design, card, parameters):
        return (Fault(name="method finding", detail=f"only {training.steps} steps"),)


class Odd:
    contract, name, kind, Parameters = 1, "odd", "reward", None_

    def write(self, programs, card, parameters):
        return RewardProgram(name="odd", source="def reward(t):\\n    return {'a': t.next.height}\\n")


class Empty:
    contract, name, kind, Parameters = 1, "empty", "wrapper", None_


class Stranger:
    contract, name, kind, Parameters = 1, "somebody-else", "reward", None_

    def write(self, programs, card, parameters):
        return None


class Bare:
    contract, name, kind = 1, "bare", "reward"

    def write(self, programs, card, parameters):
        return None
"""


def package(folder: Path, name: str, hook: str, card: str | None) -> None:
    home = folder / "strangers_methods" / name
    home.mkdir(parents=True)
    (folder / "strangers_methods" / "__init__.py").touch()
    (home / "__init__.py").touch()
    (home / "hook.py").write_text(hook)
    if card is not None:
        (home / "SKILL.md").write_text(card)


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place, points = tmp_path / "site", {}
    place.mkdir()
    classes = ("Double", "Turned", "Nothing", "Short", "Odd", "Empty", "Stranger", "Bare")
    for cls in classes:
        package(place, cls.lower(), HOOKS, CARD.format(name=cls.lower()))
        points[cls.lower()] = f"strangers_methods.{cls.lower()}.hook:{cls}"
    package(place, "silent", HOOKS.replace('"double"', '"silent"'), None)
    package(place, "mistaken", HOOKS.replace('"double"', '"mistaken"'), CARD.format(name="other"))
    points |= {name: f"strangers_methods.{name}.hook:Double" for name in ("silent", "mistaken")}
    install(place, "strangers-pack", "skills", {**points, "gone": "strangers_methods.gone.hook:Gone"})
    monkeypatch.syspath_prepend(str(place))
    yield place
    for name in [name for name in sys.modules if name.split(".")[0] == "strangers_methods"]:
        del sys.modules[name]


def using(*uses: str | MethodUse, steps: int = 512, **more):
    named = tuple(MethodUse(name=use) if isinstance(use, str) else use for use in uses)
    return phase(MOUNTAIN_CAR, steps=steps, **more).model_copy(update={"methods": named})


def car(folder: Path, *phases):
    return job(folder, *phases, environment=MOUNTAIN_CAR, features=CAR_FEATURES)


def test_the_shipped_methods_are_described() -> None:
    found = {each.name: each for each in methods()}
    kinds = {name: each.kind for name, each in found.items()}
    assert kinds == {
        "gated-rewards": "reward", "pessimistic-ensemble": "reward", "potential-shaping": "reward",
        "snapshot-starts": "start",
    }  # fmt: skip
    for name, each in found.items():
        assert each.description and each.when and each.needs and each.source.startswith(f"# {name}")
        assert set(re.findall(r"^\| `(\w+)` \|", each.source, re.M)) == set(each.parameters)
        assert f"benchmarks/methods.py --only {name}" in each.source
    assert found["potential-shaping"].parameters["potential"] is None, "it must be given"
    assert found["snapshot-starts"].parameters["fraction"] == 0.5
    assert "folders" not in found, "a library is no method"


def test_strangers_methods_are_found_and_broken_ones_named(strangers: Path) -> None:
    names = {each.name for each in methods()}
    assert {"double", "short", "odd", "potential-shaping"} <= names
    assert not names & {"empty", "stranger", "bare", "silent", "mistaken", "gone"}
    assert method("double").kind == "wrapper"
    for name, said in (
        ("empty", "has no wrap"),
        ("stranger", "calls itself 'somebody-else'"),
        ("bare", "has no Parameters"),
    ):
        with pytest.raises(ConfigError, match=said):
            method(name)
    with pytest.raises(NotFound, match="cannot be loaded"):
        method("gone")
    with pytest.raises(NotFound, match="no method named doubel") as caught:
        method("doubel")
    assert "Did you mean double" in caught.value.hint


def test_a_hook_that_lies_in_a_workspace_is_never_executed(tmp_path: Path, monkeypatch) -> None:
    home = tmp_path / "skills" / "evil-method"
    home.mkdir(parents=True)
    (home / "hook.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    (home / "SKILL.md").write_text(CARD.format(name="evil-method"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound):
        method("evil-method")
    assert "evil-method" not in {each.name for each in methods()}
    with pytest.raises(TrainingFault, match="no method named evil-method"):
        train(car(tmp_path, using("evil-method")), quiet)
    assert not (tmp_path / "executed").exists()


def test_a_wrapper_wraps_training_and_never_the_judge(strangers: Path, tmp_path: Path) -> None:
    tripled = MethodUse(name="double", parameters={"factor": 3})
    plain, loud = (
        car(tmp_path / str(i), using(*uses, steps=2048)).model_copy(update={"chunk_steps": 2048})
        for i, uses in enumerate([(), (tripled,)])
    )
    heard: list[dict] = []
    loud, plain = train(loud, heard.append), train(plain, quiet)
    assert heard[-1]["true_return"] == pytest.approx(-600.0)
    assert all(-200.0 <= point.true_return <= 0.0 for point in (*loud.curve, *plain.curve))
    for name, said in (("turned", "other actions"), ("nothing", "returned NoneType")):
        with pytest.raises(TrainingFault, match=said):
            train(car(tmp_path / name, using(name)), quiet)


def test_a_diagnostic_adds_its_findings_where_the_design_names_it(strangers: Path, tmp_path: Path) -> None:
    training = train(car(tmp_path, using()), quiet)
    named, plain = (Design(name="x", phases=(using(*uses),)) for uses in (("short",), ()))
    found = diagnose(training, None, named, mountain_car(), None)
    assert ("method finding", "only 512 steps") in {(f.name, f.detail) for f in found.faults}
    assert "only 512 steps" in found.words
    assert method_faults(training, None, plain, mountain_car()) == ()
    assert isinstance(training, Training)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (MethodUse(name="snapshot-start"), "no method named snapshot-start"),
        (MethodUse(name="folders"), "no method named folders"),
        (MethodUse(name="snapshot-starts", parameters={"fracton": 1}), "no parameter fracton"),
        (MethodUse(name="snapshot-starts", parameters={"fraction": 2}), "unfit fraction"),
        (MethodUse(name="snapshot-starts", parameters={"along": "sideways"}), "unfit along"),
    ],
)
def test_a_design_with_an_unfit_method_is_refused(use: MethodUse, said: str, tmp_path: Path) -> None:
    design = Design(name="x", phases=(using(use),))
    with pytest.raises(UsageError, match=said) as caught:
        check_methods(design)
    assert caught.value.hint
    with pytest.raises(TrainingFault, match=said):
        train(car(tmp_path, *design.phases), quiet)


def test_a_phase_has_one_distribution_of_starts() -> None:
    with pytest.raises(UsageError, match="one start-state distribution"):
        check_methods(Design(name="x", phases=(using("snapshot-starts", "snapshot-starts"),)))


def test_reward_methods_are_written_into_a_design_before_it_is_trained(tmp_path: Path) -> None:
    shaping = MethodUse(name="potential-shaping", parameters={"potential": "square(velocity)"})
    gate = MethodUse(name="gated-rewards", parameters={"gate": "position > -0.5"})
    design = Design(name="x", phases=(using(shaping, gate, "snapshot-starts", reward=SWING), using()))
    made = written(design, mountain_car())
    first, second = made.phases
    assert [use.name for use in first.methods] == ["snapshot-starts"] and second == design.phases[1]
    assert first.reward is not None and first.reward.origin == "gated-rewards"
    assert set(re.findall(r"def (m1_\w+)\(t\)", first.reward.source)) == {"m1_m1_reward", "m1_reward_2"}
    assert {trace.name for trace in train(car(tmp_path / "a", first), quiet).components} >= {
        "potential",
        "speed",
    }
    assert written(made, mountain_car()) is made
    with pytest.raises(TrainingFault, match="has not been applied"):
        train(car(tmp_path / "b", *design.phases), quiet)


def test_what_a_reward_method_writes_is_checked(strangers: Path) -> None:
    with pytest.raises(ProgramRejected, match="features that this environment lacks: height"):
        apply_reward_method("odd", [], mountain_car(), {})


def test_a_design_without_methods_is_written_and_hashed_as_ever() -> None:
    assert "methods" not in phase(CARTPOLE, steps=10).model_dump(mode="json")
    assert "methods" in using("snapshot-starts").model_dump(mode="json")


def test_the_method_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The section's own blocks become a package, are installed, and write a program."""
    page = (ROOT / "skills" / "README.md").read_text()
    section = page.split("## Write a method in twenty lines")[1]
    python, card, toml = (
        re.search(rf"```{kind}\n(.*?)```", section, re.S)[1] for kind in ("python", "markdown", "toml")
    )
    assert len([line for line in python.splitlines() if line.strip()]) <= 20
    home = tmp_path / "my_methods" / "clipped_reward"
    home.mkdir(parents=True)
    for empty in (home.parent / "__init__.py", home / "__init__.py"):
        empty.touch()
    (home / "hook.py").write_text(python)
    (home / "SKILL.md").write_text(card)
    install(tmp_path, "my-methods", "skills", dict(re.findall(r'^([\w-]+) = "(.*)"$', toml, re.M)))
    monkeypatch.syspath_prepend(str(tmp_path))
    made = apply_reward_method("clipped-reward", [], mountain_car(), {"limit": 0.5})
    assert made.origin == "clipped-reward" and "np.clip(t.native_reward, -0.5, 0.5)" in made.source
    described = next(each for each in methods() if each.name == "clipped-reward")
    assert described.parameters == {"limit": 1.0} and described.needs == "Nothing."
