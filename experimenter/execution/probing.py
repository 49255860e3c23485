"""Checks a design before any training: does it build, is its program sound, does a first rollout of training work?

The program is tried on transitions of random actions and on as many whose features were drawn over their ranges, so
that a bonus which random actions never earn is not mistaken for a dead one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.records import Feature
from experimenter.envs.spaces import space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.errors import ProgramRejected
from experimenter.identity import seeds
from experimenter.methods import check_methods
from experimenter.policies.actions import Said
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, load_policy
from experimenter.records import Design, EnvSpec, JudgeSpec, Phase, Record
from experimenter.rl.algorithms import algorithm, check_algorithm
from experimenter.rl.rollout import Collector, Experience, flatten
from experimenter.rl.shaping import BatchProgram, Shaper, open_program
from experimenter.rl.training import TrainJob, train
from experimenter.sandbox.preflight import preflight

NUM_ENVS: Final = 8
CHAMPION_EPISODES: Final = 4
Progress = Callable[[dict[str, Any]], None]


class Probe(Record):
    """What a design's checks cost and found. ``agreement`` is how its reward ranks the champion's episodes (0–1)."""

    env_steps: int
    eval_steps: int
    containment: str
    components: dict[str, float] = {}
    agreement: float | None = None


class ProbeJob(Record):
    """One design to check; ``champion`` is the folder of the best policy so far, ``root`` the workspace's."""

    design: Design
    target_environment: EnvSpec
    features: tuple[Feature, ...]
    seed: int
    steps: int
    champion: str | None = None
    root: str = ""
    allow_unsandboxed: bool = False


def probe(payload: dict[str, Any], progress: Progress) -> Probe:
    """Raises ProgramRejected, EnvironmentFault or TrainingFault, whichever the design earns."""
    job = ProbeJob.model_validate(payload)
    check_algorithm(job.design)
    check_methods(job.design)
    spent, level, shares, agreement = 0, "none needed", dict[str, float](), None
    for index, phase in enumerate(job.design.phases):
        progress({"phase": index})
        with open_program(phase.reward, allow_unsandboxed=job.allow_unsandboxed) as program:
            if program is not None:
                level = program.level
                random, steps = random_rollout(job, phase, progress)
                shares = _try_program(job, phase, Lively(program, progress), random)
                agreement, ranked = _rank(job, phase, program, random, progress)
                spent += steps + ranked
    first, evaluated = _first_rollout(job, progress)
    return Probe(
        env_steps=spent + first,
        eval_steps=evaluated,
        containment=level,
        components=shares,
        agreement=agreement,
    )


class Lively:
    """A program each of whose calls is a sign of life: a slow one must not look like a silent environment."""

    def __init__(self, program: BatchProgram, progress: Progress) -> None:
        self._program, self._progress = program, progress

    @property
    def fields(self) -> frozenset[str]:
        return self._program.fields

    @property
    def level(self) -> str:
        return self._program.level

    def call(self, batch: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
        self._progress({"steps": 0})
        return self._program.call(batch)

    def begin(self, batch: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[np.float64]]]:
        self._progress({"steps": 0})
        return self._program.begin(batch)


def random_rollout(job: ProbeJob, phase: Phase, progress: Progress) -> tuple[Experience, int]:
    """``job.steps`` transitions of an untrained policy, which acts close to uniformly."""
    vector = SyncVector(
        [phase.environments[i % len(phase.environments)].environment for i in range(NUM_ENVS)], NUM_ENVS
    )
    try:
        policy = _untrained(job, vector)
        rollout = _collect(vector, policy, job.seed, job.steps // NUM_ENVS, progress)
        return rollout, rollout.native.size
    finally:
        vector.close()


def _untrained(job: ProbeJob, vector: SyncVector) -> Policy:
    pipeline = Pipeline.for_space(vector.observation_space, job.target_environment.family)
    spaces = space_to_json(vector.observation_space), space_to_json(vector.action_space)
    masked = algorithm(job.design.algorithm).says(job.design) == "masked"
    said: Said = "masked" if masked else "distribution"
    policy = Policy(pipeline, None, job.design.network, {}, *spaces, said=said)
    policy.params = views(initial_params(policy.shape, np.random.default_rng(job.seed)), policy.shape)
    return policy


def _collect(vector: SyncVector, policy: Policy, seed: int, steps: int, progress: Progress) -> Experience:
    collector = Collector(vector, policy)
    collector.reset(seeds(seed, "probe", vector.num_envs, "reset"))
    return collector.collect(steps, np.random.default_rng(seed), alive=lambda: progress({"steps": 0}))


def _try_program(job: ProbeJob, phase: Phase, program: BatchProgram, random: Experience) -> dict[str, float]:
    """Static check and limits came with opening it; here the contract and the pre-flight. Shares by component."""
    report = preflight(program, prepare_batch(job, phase, program, random))  # type: ignore[arg-type]
    return {component.name: component.share for component in report.components}


def prepare_batch(job: ProbeJob, phase: Phase, program: BatchProgram, random: Experience) -> dict[str, Any]:
    """What the program is tried on: the random transitions, and as many with features drawn over their ranges."""
    shaper = Shaper(program, job.features, NUM_ENVS, phase.hyperparameters.gamma)
    following = shaper.extract(flatten(random.next_raw))
    return _with_drawn_features(shaper.batch(random, following), job.features, job.seed)


def _with_drawn_features(
    batch: Mapping[str, Any], features: tuple[Feature, ...], seed: int
) -> dict[str, Any]:
    """The rows once as they are and once more with every named feature drawn over its range."""
    rng = np.random.default_rng(seed)
    known = {feature.name: feature for feature in features}
    return {name: _doubled(name, value, known, rng) for name, value in batch.items()}


def _doubled(name: str, value: Any, known: Mapping[str, Feature], rng: np.random.Generator) -> Any:
    side, _, feature = name.partition(".")
    if isinstance(value, float):
        return value
    if isinstance(value, dict):
        return {key: np.concatenate([item, item]) for key, item in value.items()}
    if side in ("now", "next") and feature in known:
        return np.concatenate([value, _draw(known[feature], len(value), rng)])
    if name == "terminated":
        return np.concatenate([value, rng.random(len(value)) < 0.5])
    return np.concatenate([value, value])


def _draw(feature: Feature, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    if feature.kind == "flag":
        return (rng.random(count) < 0.5).astype(np.float32)
    low = feature.measured_low if feature.low is None else feature.low
    high = feature.measured_high if feature.high is None else feature.high
    return rng.uniform(low, max(high, low + 1e-6), count).astype(np.float32)


def _rank(
    job: ProbeJob, phase: Phase, program: BatchProgram, random: Experience, progress: Progress
) -> tuple[float | None, int]:
    """The share of champion episodes that the program pays better than the best random one.

    Asked only where the champion's true return beats every random episode; then a program that pays all of the
    champion's episodes worse than the average random one is refused. Returns the share and the steps it took.
    """
    if job.champion is None:
        return None, 0
    vector = SyncVector(job.target_environment, CHAMPION_EPISODES)
    try:
        length = len(random.native) * NUM_ENVS // CHAMPION_EPISODES
        played = _collect(vector, load_policy(Path(job.champion)), job.seed, length, progress)
    finally:
        vector.close()
    good, bad = _returns(job, phase, program, played), _returns(job, phase, program, random)
    steps = played.native.size
    if not (len(good) and len(bad)) or good[:, 0].min() <= bad[:, 0].max():
        return None, steps
    if good[:, 1].max() < bad[:, 1].mean():
        raise ProgramRejected(
            "the program pays every episode of the best policy so far less than the average random episode",
            "Keep the native reward in it, or lower the weight of what random actions earn.",
            layer="ranking",
        )
    return float(np.mean(good[:, 1] > bad[:, 1].max())), steps


def _returns(
    job: ProbeJob, phase: Phase, program: BatchProgram, experience: Experience
) -> NDArray[np.float64]:
    """True and shaped return of each finished episode, (episodes, 2)."""
    envs = experience.native.shape[1]
    paid = Shaper(program, job.features, envs, phase.hyperparameters.gamma).pay(experience).reward
    found, totals = [], np.zeros((envs, 2))
    for t in range(len(experience.native)):
        totals += np.stack([experience.native[t], paid[t]], axis=1)
        for index in np.flatnonzero(experience.done[t]):
            found.append(totals[index].copy())
            totals[index] = 0.0
    return np.array(found).reshape(-1, 2)


def _first_rollout(job: ProbeJob, progress: Progress) -> tuple[int, int]:
    """A short rollout of each phase, trained for real and thrown away; its steps and the judge's."""
    steps = max(
        job.steps, *(phase.hyperparameters.num_envs for phase in job.design.phases), len(job.design.phases)
    )
    short = job.design.with_steps(steps)
    with tempfile.TemporaryDirectory(prefix="experimenter-probe-") as folder:
        training = train(
            TrainJob(
                step="probe",
                design=short,
                seed=job.seed,
                features=job.features,
                target_environment=job.target_environment,
                folder=folder,
                relative=Path(folder).name,
                until=steps,
                chunk_steps=steps,
                validation_seeds=seeds(job.seed, "probe", 1, "validation"),
                judge=JudgeSpec(),
                root=job.root,
                allow_unsandboxed=job.allow_unsandboxed,
            ),
            progress,
        )
    return training.env_steps, training.eval_steps
