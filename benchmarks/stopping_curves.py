"""Trains many small designs to their end and stores their learning curves, for ``benchmarks/stopping.py`` to replay.

    python benchmarks/stopping_curves.py [--minutes 15] [--out benchmarks/data/curves.json]
    python benchmarks/stopping_curves.py --from WORKSPACE ... --out benchmarks/data/run_curves.json

Designs are what the random planner would draw: the shipped defaults, settings drawn from the whole space, settings
near the defaults, and reward programs of the grammar. Every design of an environment meets the same training seeds.
The curve is the trainer's own validation; ``score`` is the judge's mean over fresh episodes with the kept policy.
What the file holds already is kept, so an interrupted collection goes on.

``--from`` trains nothing: it reads the curves of whole runs out of workspaces, of every training that went to the end
of its design and was judged. Where a seed would stand is the length of the run's designs, so that runs of one size
are compared with each other.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from experimenter.envs.card import extract_card
from experimenter.envs.make import spec_for
from experimenter.envs.records import EnvCard
from experimenter.errors import ExperimenterError
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.planners.search.hyperparameters import drawn, fitted
from experimenter.planners.search.render import program
from experimenter.planners.search.vocabulary import vocabulary
from experimenter.policies.policy import load_policy
from experimenter.records import Arm, Design, Hyperparameters, Phase, RewardProgram, Training, WeightedEnv
from experimenter.rl.defaults import default_hyperparameters, default_network
from experimenter.rl.training import TrainJob, train
from experimenter.workspace.store import Workspace

ENVIRONMENTS: Final = (
    "CartPole-v1",
    "MountainCar-v0",
    "FrozenLake-v1",
    "Pendulum-v1",
    "Acrobot-v1",
    "MountainCarContinuous-v0",
    "MiniGrid-Empty-Random-5x5-v0",
)
STEPS: Final = 20_480
POINTS: Final = 16
DESIGNS: Final = 12
SEEDS: Final = 4
EPISODES: Final = 20
FEWEST: Final = 7
WHOLE: Final = 0.85
OUT: Final = Path(__file__).parent / "data" / "curves.json"
MADE: Final = (
    f"benchmarks/stopping_curves.py: {POINTS} chunks each, {DESIGNS} designs drawn by the random planner's rules,"
    f" seeds 0 to {SEEDS - 1}; returns are the trainer's validation, score the judge's mean over"
    f" {EPISODES} fresh episodes with the kept policy"
)
FROM_RUNS: Final = (
    "benchmarks/stopping_curves.py --from: trainings of whole runs that went to their end and were judged, from the"
    " workspaces of runs of every budget"
)


class Wanted(NamedTuple):
    environment: str
    design: int
    seed: int


def main() -> None:
    options = parse()
    if options.workspaces:
        found = [one for root in options.workspaces for one in from_runs(root)]
        distinct = {json.dumps(one["returns"]): one for one in found}.values()
        write(options.out, FROM_RUNS, [one | {"design": i} for i, one in enumerate(distinct)])
        return
    until = time.monotonic() + 60 * options.minutes
    done: list[dict[str, Any]] = json.loads(options.out.read_text())["curves"] if options.out.exists() else []
    known = {Wanted(one["environment"], one["design"], one["seed"]) for one in done}
    cards: dict[str, EnvCard] = {}
    for one in wanted():
        if one in known or time.monotonic() > until:
            continue
        if one.environment not in cards:
            cards[one.environment] = extract_card(spec_for(one.environment), judge=None)
        try:
            done.append(curve(one, cards[one.environment]))
        except ExperimenterError as error:
            print(f"{one}: {error}", file=sys.stderr, flush=True)
        write(options.out, MADE, done)
        print(f"{len(done)} curves, last {one}", flush=True)


def wanted() -> Iterator[Wanted]:
    """Seed by seed, so that whatever was made when time is up is balanced."""
    for seed in range(SEEDS):
        for design in range(DESIGNS):
            for environment in ENVIRONMENTS:
                yield Wanted(environment, design, seed)


def curve(one: Wanted, card: EnvCard) -> dict[str, Any]:
    """Trains one design to its end; its curve, and the judge's score of the policy that was kept."""
    words, reward, hyper = choice(one, card)
    phase = Phase(
        environments=(WeightedEnv(environment=card.spec),), reward=reward, hyperparameters=hyper, steps=STEPS
    )
    design = Design(name=f"design_{one.design}", phases=(phase,), network=default_network(card))
    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            step="curve", design=design, seed=seeds(one.seed, "search_train", 1)[0], features=card.features,
            target_environment=card.spec, folder=f"{folder}/t", relative="t", until=STEPS,
            chunk_steps=STEPS // POINTS, validation_seeds=seeds(one.seed, "validation", 10, "search"),
            judge=card.judge,
        )  # fmt: skip
        training = train(job, lambda _: None)
        assert training.policy is not None
        policy = load_policy(Path(folder) / training.policy.path, training.policy.hash)
        judged = evaluate(policy, card.spec, seeds(one.seed, "confirm_eval", EPISODES), card.judge)
    return {
        "environment": one.environment,
        "design": one.design,
        "seed": one.seed,
        "words": words,
        "steps": [point.steps for point in training.curve],
        "returns": [short(point.true_return) for point in training.curve],
        "score": short(judged.mean),
    }


def choice(one: Wanted, card: EnvCard) -> tuple[str, RewardProgram | None, Hyperparameters]:
    """The design's reward and settings: drawn from its number and environment alone, the same for every seed."""
    rng = np.random.default_rng([one.design, ENVIRONMENTS.index(one.environment)])
    base = default_hyperparameters(card)
    if one.design == 0:
        return "the shipped defaults", None, fitted(base, STEPS)
    if one.design < 4:
        return "settings drawn from the whole space", None, drawn(rng, base, STEPS)
    if one.design < 7:
        rate = float(f"{base.learning_rate * float(np.exp(rng.uniform(-1.2, 1.2))):.3g}")
        near = base.model_copy(
            update={"learning_rate": rate, "gamma": float(rng.choice([0.98, 0.99, 0.995]))}
        )
        return "settings near the defaults", None, fitted(near, STEPS)
    words = vocabulary(card, hidden=False)
    if not words.kinds:
        return "settings drawn from the whole space", None, drawn(rng, base, STEPS)
    return "a reward program of the grammar", program(words.draw(rng), origin="random"), fitted(base, STEPS)


def short(value: float | None) -> float | None:
    return None if value is None else float(f"{float(value):.6g}")


def from_runs(root: Path) -> Iterator[dict[str, Any]]:
    """The judged trainings of the workspace's runs with enough points to be forecast at all."""
    with Workspace.open(root, create=False) as store:
        for run in store.runs():
            plan = store.document(run.id, "plan")
            for step, score in judged(store, run.id):
                stored = store.step(step)
                if plan is None or stored is None:
                    continue
                training = Training.model_validate(stored)
                points = [point for point in training.curve if point.true_return is not None and point.steps]
                if len(points) >= FEWEST and training.steps >= WHOLE * plan["design_steps"]:
                    yield {
                        "environment": run.goal.environment.id,
                        "design": 0,
                        "seed": int(plan["design_steps"]),
                        "words": "from a run",
                        "steps": [point.steps for point in points],
                        "returns": [short(point.true_return) for point in points],
                        "score": short(score),
                    }


def judged(store: Workspace, run: str) -> Iterator[tuple[str, float]]:
    """Steps of trainings, and the judge's word on each: what finished its last rung, and every arm."""
    for trial in store.trials(run):
        for one in trial.candidates:
            if one.training is not None and one.evaluation is not None:
                yield one.training.step, float(one.evaluation.mean)
    for name, value in store.documents(run).items():
        if name.startswith("arm:"):
            arm = Arm.model_validate(value)
            if not arm.failed:
                yield from zip(arm.trainings, map(float, arm.scores), strict=True)


def write(path: Path, made: str, curves: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in curves)
    path.write_text(f'{{"made": {json.dumps(made)},\n"curves": [\n{lines}\n]}}\n')


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0, help="no training is begun after so long")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--from", dest="workspaces", type=Path, nargs="+", metavar="WORKSPACE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
