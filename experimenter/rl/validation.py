"""Which checkpoint is best, and in which mode it acts: asked of the frozen judge on validation seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from experimenter.policies.policy import ActionMode, Policy
from experimenter.records import EnvSpec, Evaluation, JudgeSpec

__all__ = ["Validation", "Validator", "episodes_for"]

SHARE: Final = 0.15
CHALLENGE_SHARE: Final = 0.3
FEWEST: Final = 3
# Beyond this share of a chunk an episode is so long that one in each mode has to do.
LONG_SHARE: Final = 0.25
MODES: Final[tuple[Literal["sample", "greedy"], ...]] = ("sample", "greedy")


def episodes_for(share: float, chunk_steps: int, episode_length: float, most: int) -> int:
    """Episodes per mode that cost at most ``share`` of a chunk, up to ``most``; at least ``FEWEST``, or one long one.

    Also what the forecast of a run counts with.
    """
    fewest = 1 if episode_length > LONG_SHARE * chunk_steps else FEWEST
    count = int(share * chunk_steps / (len(MODES) * max(1.0, episode_length)))
    return min(most, max(fewest, count))


@dataclass(frozen=True, slots=True)
class Validation:
    """The better of both modes: its true return for each seed, success rate and mode, and the cost of asking."""

    scores: tuple[float, ...]
    success_rate: float | None
    mode: ActionMode
    eval_steps: int
    episode_length: float

    @property
    def score(self) -> float:
        return float(np.mean(self.scores))

    @property
    def cautious(self) -> float:
        """The mean less its standard error over episodes: what a target is held against before it is believed."""
        n = len(self.scores)
        return self.score - (float(np.std(self.scores, ddof=1)) / n**0.5 if n > 1 else 0.0)

    def gain_over(self, earlier: Sequence[float]) -> float:
        """By how much the mean is higher, on the seeds that both were asked, because some seeds are harder."""
        common = min(len(self.scores), len(earlier))
        return float(np.mean(self.scores[:common])) - float(np.mean(earlier[:common]))


@dataclass(frozen=True, slots=True)
class Validator:
    """Judges a policy greedily and by sampling, on as many of ``seeds`` (in order) as a share of the chunk allows.

    Where episodes are short that is many: a greedy policy may look perfect on a dozen worlds and still run in
    circles in every eighth.
    """

    target_environment: EnvSpec
    seeds: Sequence[int]
    judge: JudgeSpec

    def episodes(self, chunk_steps: int, episode_length: float | None) -> int:
        """How many episodes per mode cost at most ``SHARE`` of a chunk; at least ``FEWEST``, or one long one.

        ``None``: no episode has ended yet, so one is played first to learn how long they are.
        """
        return 1 if episode_length is None else self._affordable(SHARE, chunk_steps, episode_length)

    def challenge(self, chunk_steps: int, episode_length: float) -> int:
        """How many to ask of one that looks better than the best so far: a few lucky episodes must not decide."""
        return self._affordable(CHALLENGE_SHARE, chunk_steps, episode_length)

    def _affordable(self, share: float, chunk_steps: int, episode_length: float) -> int:
        return episodes_for(share, chunk_steps, episode_length, len(self.seeds))

    def validate(self, policy: Policy, count: int, alive: Callable[[dict[str, Any]], None]) -> Validation:
        """The first ``count`` seeds in each of the policy's modes; a tie goes to acting greedily."""
        from experimenter.judge.evaluate import evaluate

        made = [
            evaluate(policy, self.target_environment, self.seeds[:count], self.judge, mode, alive)
            for mode in policy.head.modes
        ]
        better = max(reversed(made), key=_merit)
        lengths = [length for e in made for length in e.lengths]
        return Validation(
            scores=tuple(float(score) for score in better.scores),
            success_rate=better.success_rate,
            mode=better.action_mode,
            eval_steps=sum(e.eval_steps for e in made),
            episode_length=float(np.mean(lengths)),
        )


def _merit(evaluation: Evaluation) -> float:
    return float(evaluation.mean)
