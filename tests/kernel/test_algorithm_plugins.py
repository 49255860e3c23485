"""Algorithms of strangers, installed for real as entry points: they train as our own do, and fail by name."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from experimenter.contracts import Algorithm
from experimenter.errors import ConfigError, NotFound, TrainingFault, UsageError
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.policies.policy import load_policy
from experimenter.records import Hyperparameters, JudgeSpec, Network
from experimenter.rl import algorithms
from experimenter.rl.algorithms import ALGORITHMS, algorithm, check_algorithm
from experimenter.rl.population import train_population
from experimenter.rl.training import TrainJob, train
from tests.kernel.rl_samples import CARTPOLE, TINY, job, lasting, phase, quiet
from tests.kernel.test_plugins import install

ROOT = Path(__file__).resolve().parents[2]
FAULTY = """
from experimenter.rl.plugin import AlgorithmPlugin

class Careless(AlgorithmPlugin):
    name = "careless"
    def course(self, job, policy, state, account):
        return self
    def chunk(self, chunk, stage, rng):
        yield from ()
        raise KeyError("loss")
    def save(self, folder): ...
    def over(self): ...

class Silent(Careless):
    name = "silent"
    def chunk(self, chunk, stage, rng):
        yield from ()

class Broken(Careless):
    name = "hasty"
    def begin(self, design, policy, started, rng):
        raise ValueError("no weights")

class Numberless(Careless):
    name = "numberless"
    def course(self, job, policy, state, account):
        self.state = state
        return self
    def chunk(self, chunk, stage, rng):
        from experimenter.rl.course import Taught
        from experimenter.rl.episodes import EpisodeLog
        from experimenter.rl.ppo import UpdateStats
        from experimenter.rl.rollout import Wanted
        yield Wanted(stage.collected, chunk.num_steps, rng, False, lambda: None)
        self.state.flat[:] = float("nan")
        return Taught(EpisodeLog(stage.phase.hyperparameters.num_envs), UpdateStats(*[float("nan")] * 7, True))

class Unfinished:
    contract, name, actions = 1, "unfinished", ("discrete",)

class Misnamed(Careless):
    name = "somebody"

class Needy(Careless):
    name = "needy"
    def ready(self):
        from experimenter.errors import UsageError
        raise UsageError("needy needs a library.", "pip install it.")
"""


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the algorithm of the plug-in page, and with some that do not work."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "HillClimb" in block)
    (tmp_path / "strangers_climbing.py").write_text(code)
    (tmp_path / "strangers_faulty.py").write_text(FAULTY)
    (tmp_path / "strangers_broken.py").write_text("def oops(:\n")
    faulty = ("careless", "silent", "unfinished", "misnamed", "needy")
    points = {name: f"strangers_faulty:{name.capitalize()}" for name in faulty}
    points |= {"hasty": "strangers_faulty:Broken", "numberless": "strangers_faulty:Numberless"}
    points |= {"hill-climb": "strangers_climbing:HillClimb", "broken": "strangers_broken:Oops"}
    install(tmp_path, "strangers-algorithms", "algorithms", points)
    monkeypatch.syspath_prepend(str(tmp_path))
    algorithms.algorithm.cache_clear()
    yield tmp_path
    algorithms.algorithm.cache_clear()
    for name in ("strangers_climbing", "strangers_faulty"):
        sys.modules.pop(name, None)


def _job(workspace: Path, name: str, steps: int = 2048, **changes) -> TrainJob:
    hyper = Hyperparameters(num_envs=8, num_steps=64, normalize_observations=False)
    made = job(
        workspace, phase(CARTPOLE, steps=steps, hyper=hyper), network=changes.pop("network", TINY), **changes
    )
    return made.model_copy(update={"design": made.design.model_copy(update={"algorithm": name})})


def test_the_algorithm_of_the_plug_in_page_learns(strangers: Path, tmp_path: Path) -> None:
    """Acting at random earns about 22."""
    learning = _job(tmp_path, "hill-climb", 32_768, chunk_steps=8192, network=Network(hidden=()))
    training = train(learning, quiet)
    assert training.policy is not None and training.env_steps == 32_768
    policy = load_policy(tmp_path / training.policy.path, training.policy.hash)
    scores = evaluate(policy, CARTPOLE, seeds(0, "confirm_eval", 20), JudgeSpec()).scores
    assert float(np.mean(scores)) > 60


def test_a_strangers_training_that_is_cut_short_goes_on_with_the_same_bytes(
    strangers: Path, tmp_path: Path
) -> None:
    at_once = train(_job(tmp_path / "a", "hill-climb"), quiet)
    cut = _job(tmp_path / "b", "hill-climb", until=1024)
    train(cut, quiet)
    assert lasting(train(cut.model_copy(update={"until": 2048}), quiet)) == lasting(at_once)


def test_a_stranger_keeps_to_the_contract(strangers: Path) -> None:
    for name in (*ALGORITHMS, "hill-climb"):
        assert isinstance(algorithm(name), Algorithm) and algorithm(name).name == name


def test_weights_that_are_no_numbers_are_never_kept_whatever_the_algorithm_says(
    strangers: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingFault, match="stopped being numbers twice"):
        train(_job(tmp_path, "numberless"), quiet)


def test_a_stranger_that_cannot_begin_ends_alone(strangers: Path, tmp_path: Path) -> None:
    jobs = [_job(tmp_path / name, name, step=name) for name in ("hasty", "ppo")]
    bad, good = train_population(jobs, lambda *_: None)
    assert "hasty raised ValueError: no weights" in bad.error.message and good.training is not None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("careless", "the algorithm careless raised KeyError: 'loss'"),
        ("silent", "silent ended a chunk with NoneType"),
    ],
)
def test_what_goes_wrong_in_a_strangers_algorithm_is_told_by_its_name(
    strangers: Path, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(TrainingFault, match=said) as told:
        train(_job(tmp_path, name), quiet)
    assert "--algorithm ppo" in told.value.hint


def test_a_careless_member_ends_alone(strangers: Path, tmp_path: Path) -> None:
    jobs = [_job(tmp_path / name, name, step=name) for name in ("careless", "hill-climb", "ppo")]
    careless, *others = train_population(jobs, lambda *_: None)
    assert isinstance(careless.error, TrainingFault) and all(one.training is not None for one in others)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unfinished", "has no ready"),
        ("misnamed", "calls itself 'somebody'"),
        ("broken", "cannot be loaded: SyntaxError"),
    ],
)
def test_a_plug_in_that_is_no_algorithm_is_refused(
    strangers: Path, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        check_algorithm(_job(tmp_path, name).design)


def test_a_plug_in_says_itself_what_it_lacks(strangers: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needy needs a library"):
        train(_job(tmp_path, "needy"), quiet)


def test_an_unknown_name_is_answered_with_a_guess(strangers: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Did you mean hill-climb"):
        train(_job(tmp_path, "hill-clim"), quiet)


def test_a_stranger_may_not_take_the_name_of_an_algorithm_of_ours(strangers: Path, tmp_path: Path) -> None:
    from experimenter.config import load_settings
    from experimenter.loop.preparation import prepare

    install(tmp_path, "usurper", "algorithms", {"ppo": "strangers_faulty:Careless"})
    settings = load_settings({"workspace": str(tmp_path / "experiments")}).settings
    with pytest.raises(ConfigError, match="Two packages register the algorithm ppo"):
        prepare("balance", "CartPole-v1", {}, settings)


def test_the_kernels_own_are_registered_as_everybodys_are() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    registered = points["experimenter.algorithms"]
    assert {name: registered[name] for name in ALGORITHMS} == algorithms._OWN


def test_a_training_of_ours_reads_no_entry_points_of_algorithms_and_loads_no_library() -> None:
    import subprocess

    code = (
        "import sys, experimenter.plugins as p; asked = []; points = p._points;"
        "p._points = lambda group: asked.append(group) or points(group);"
        "from experimenter.rl.algorithms import algorithm; algorithm('ppo'); algorithm('sac');"
        "print(asked, {'torch', 'stable_baselines3', 'experimenter.algorithms'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[] set()\n"
