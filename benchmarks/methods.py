"""Trains with and without each method skill and lets the frozen judge say what difference it made.

    python benchmarks/methods.py                           # four methods, two environments each, five seeds
    python benchmarks/methods.py --only snapshot-starts --seeds 0 1 2 3 4 5 6 7
    python benchmarks/methods.py --json methods.json

For each method there is an environment on which it should help and one on which it should not. Both arms spend the same
environment steps (replayed ones are counted), and every policy plays 20 held-out episodes. Nothing is selected or
repeated; fewer than five seeds can show no difference.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from experimenter.envs.card import extract_card
from experimenter.envs.make import spec_for
from experimenter.envs.records import EnvCard
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.judge.statistics import compare, iqm
from experimenter.methods import written
from experimenter.policies.policy import load_policy
from experimenter.records import Design, MethodUse, Phase, RewardProgram, WeightedEnv
from experimenter.rl.defaults import default_hyperparameters, default_network
from experimenter.rl.training import TrainJob, train

EPISODES = 20
ARMS = ("with", "without")


@dataclass(frozen=True)
class Case:
    """``parameters`` of the method, and those of the arm ``without`` it (none: no method); ``reward`` is both arms'."""

    method: str
    env: str
    helps: bool
    steps: int
    parameters: dict[str, Any]
    without: dict[str, Any] | None = None
    reward: str | None = None

    def methods(self, arm: str) -> tuple[MethodUse, ...]:
        parameters = self.parameters if arm == "with" else self.without
        return () if parameters is None else (MethodUse(name=self.method, parameters=parameters),)


STAGES = "0.5 * ever_carrying_key + 0.5 * ever_sees_open_door + 0.2 * low(goal_distance) - 1.2"
SWINGING = """\
def reward(t):
    faster = np.abs(t.next.velocity) * t.gamma - np.abs(t.now.velocity)
    return {"native": t.native_reward, "faster": 100.0 * faster}
"""
FARMABLE = """\
def reward(t):
    return {"native": t.native_reward, "speed": 50.0 * np.abs(t.next.velocity)}
"""
UPHILL = """\
def reward(t):
    return {"native": t.native_reward, "away": 3.0 * np.abs(t.next.position + 0.5) - 1.0}
"""
UPRIGHT = """\
def reward(t):
    return {"native": t.native_reward, "upright": 1.0 - np.abs(t.next.pole_angle) / 0.42}
"""
CENTRED = """\
def reward(t):
    return {"native": t.native_reward, "centred": 1.0 - np.abs(t.next.cart_position) / 4.8}
"""
CARS, POLES = [FARMABLE, UPHILL], [CENTRED]
CASES = (
    Case("potential-shaping", "MiniGrid-DoorKey-6x6-v0", True, 40_960, {"potential": STAGES}),
    Case("potential-shaping", "CartPole-v1", False, 32_768, {"potential": "near(pole_angle, 0)"}),
    Case("snapshot-starts", "MiniGrid-DoorKey-6x6-v0", True, 49_152, {"along": "backward"}),
    Case("snapshot-starts", "CartPole-v1", False, 32_768, {}),
    Case("gated-rewards", "MountainCar-v0", True, 32_768, {"gate": "position > 0.2"}, reward=FARMABLE),
    Case("gated-rewards", "CartPole-v1", False, 32_768, {"gate": "elapsed > 50"}, reward=UPRIGHT),
    Case(
        "pessimistic-ensemble", "MountainCar-v0", True, 49_152, {"programs": CARS}, reward=SWINGING,
        without={"programs": CARS, "aggregate": "mean", "k": 0.0},
    ),
    Case(
        "pessimistic-ensemble", "CartPole-v1", False, 32_768, {"programs": POLES}, reward=UPRIGHT,
        without={"programs": POLES, "aggregate": "mean", "k": 0.0},
    ),
)  # fmt: skip


def main() -> None:
    options = parse()
    cases = [case for case in CASES if not options.only or case.method in options.only]
    if not cases:
        raise SystemExit(f"choose from: {', '.join(dict.fromkeys(case.method for case in CASES))}")
    if options.steps:
        cases = [replace(case, steps=options.steps) for case in cases]
    jobs = [(case, arm, seed) for case in cases for seed in options.seeds for arm in ARMS]
    found = run_all(jobs, options.workers)
    rows = [row(case, options.seeds, found) for case in cases]
    print(HEAD)
    for one in rows:
        print(line(one))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="methods; all unless named")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, help="other training steps for every case, for a quick look")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


Job = tuple[Case, str, int]


def key(case: Case, arm: str, seed: int) -> tuple[str, str, str, int]:
    return case.method, case.env, arm, seed


def run_all(jobs: list[Job], workers: int) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    """Every training, in worker processes; progress goes to stderr."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    found, began = {}, time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = {pool.submit(trained, *job): job for job in jobs}
        for done in as_completed(waiting):
            case, arm, seed = waiting[done]
            found[key(case, arm, seed)] = result = done.result()
            print(
                f"{len(found):3}/{len(jobs)} {time.monotonic() - began:6.0f} s  {case.method} {case.env} seed {seed} "
                f"{arm}: {result['score']:.3g} after {result['env_steps']:,} steps in {result['seconds']:.0f} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return found


def trained(case: Case, arm: str, seed: int) -> dict[str, Any]:
    """One training and the judge's word on it: the mean score of 20 held-out episodes."""
    began = time.monotonic()
    card = card_of(case.env)
    design = written(design_of(case, arm, card), card)
    with tempfile.TemporaryDirectory(prefix="methods-") as folder:
        training = train(job_of(case, design, card, seed, Path(folder)), silent)
        assert training.policy is not None
        policy = load_policy(Path(folder) / training.policy.path, training.policy.hash)
        judged = evaluate(policy, card.spec, seeds(0, "confirm_eval", EPISODES), card.judge)
    return {
        "score": judged.mean, "success": judged.success_rate, "env_steps": training.env_steps,
        "seconds": time.monotonic() - began,
    }  # fmt: skip


@lru_cache
def card_of(env: str) -> EnvCard:
    return extract_card(spec_for(env), judge=None, steps=1000)


def design_of(case: Case, arm: str, card: EnvCard) -> Design:
    reward = None if case.reward is None else RewardProgram(name="base", source=case.reward)
    phase = Phase(
        environments=(WeightedEnv(environment=card.spec),), reward=reward, steps=case.steps,
        hyperparameters=default_hyperparameters(card), methods=case.methods(arm),
    )  # fmt: skip
    return Design(name=f"{arm}_method", phases=(phase,), network=default_network(card))


def job_of(case: Case, design: Design, card: EnvCard, seed: int, folder: Path) -> TrainJob:
    return TrainJob(
        step="benchmark", design=design, seed=seeds(seed, "search_train", 1)[0], features=card.features,
        target_environment=card.spec, folder=str(folder / "training"), relative="training", until=case.steps,
        validation_seeds=seeds(seed, "validation", 10), judge=card.judge,
    )  # fmt: skip


def silent(_: dict[str, Any]) -> None:
    return None


def row(
    case: Case, numbers: list[int], found: dict[tuple[str, str, str, int], dict[str, Any]]
) -> dict[str, Any]:
    scores = {arm: [found[key(case, arm, seed)]["score"] for seed in numbers] for arm in ARMS}
    verdict = compare("without", scores["with"], scores["without"], seed=0)
    return {
        "method": case.method, "environment": case.env, "should_help": case.helps, "steps": case.steps,
        "seeds": numbers, "scores": scores, "iqm": {arm: iqm(scores[arm]) for arm in ARMS},
        "difference": verdict.difference, "low": verdict.low, "high": verdict.high, "p": verdict.p,
        "label": verdict.label, "why": verdict.why,
    }  # fmt: skip


HEAD = (
    f"{'method':22}{'environment':26}{'should':>7}  {'with':>8} {'without':>8}  {'diff':>8} {'low':>8} {'high':>8} "
    f"{'p':>6}  verdict"
)


def line(row: dict[str, Any]) -> str:
    should = "help" if row["should_help"] else "not"
    why = f" ({row['why']})" if row["why"] else ""
    mean = row["iqm"]
    return (
        f"{row['method']:22}{row['environment']:26}{should:>7}  {mean['with']:>8.3g} {mean['without']:>8.3g}  "
        f"{row['difference']:>8.3g} {row['low']:>8.3g} {row['high']:>8.3g} {row['p']:>6.3f}  {row['label']}{why}"
    )


if __name__ == "__main__":
    main()
