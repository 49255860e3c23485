"""Which checkpoint is best, and in which mode it acts: asked of the frozen judge on validation seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from experimenter.judge.evaluate import evaluate
from experimenter.policies.policy import ActionMode, Policy
from experimenter.records import EnvSpec, Evaluation, JudgeSpec

__all__ = ["Validation", "Validator"]

SHARE: Final = 0.15
FEWEST: Final = 3
MODES: Final[tuple[Literal["sample", "greedy"], ...]] = ("sample", "greedy")


@dataclass(frozen=True, slots=True)
class Validation:
    """The better of both modes: its mean true return, success rate and mode, and the cost of asking."""

    score: float
    success_rate: float | None
    mode: ActionMode
    eval_steps: int
    episode_length: float


@dataclass(frozen=True, slots=True)
class Validator:
    """Judges a policy greedily and by sampling, on as many of ``seeds`` as a share of the chunk allows."""

    target_environment: EnvSpec
    seeds: Sequence[int]
    judge: JudgeSpec

    def episodes(self, chunk_steps: int, episode_length: float | None) -> int:
        """How many episodes per mode cost at most ``SHARE`` of a chunk, and at least ``FEWEST``."""
        if episode_length is None:
            return min(FEWEST, len(self.seeds))
        affordable = int(SHARE * chunk_steps / (len(MODES) * max(1.0, episode_length)))
        return min(len(self.seeds), max(FEWEST, affordable))

    def validate(self, policy: Policy, count: int, alive: Callable[[dict[str, Any]], None]) -> Validation:
        """The first ``count`` seeds in both modes; a tie goes to acting greedily."""
        made = [
            evaluate(policy, self.target_environment, self.seeds[:count], self.judge, mode, alive)
            for mode in MODES
        ]
        better = max(reversed(made), key=_merit)
        lengths = [length for e in made for length in e.lengths]
        return Validation(
            score=float(better.mean),
            success_rate=better.success_rate,
            mode=better.action_mode,
            eval_steps=sum(e.eval_steps for e in made),
            episode_length=float(np.mean(lengths)),
        )


def _merit(evaluation: Evaluation) -> float:
    return float(evaluation.mean)
