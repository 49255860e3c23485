"""Discrete actions of which an environment says at each step which are possible, in a part of its observation.

The network reads the mask as any other numbers; the head reads it once more, behind the network's outputs, and gives
what is not possible no probability. So whoever plays, judges or films such a policy need not know of masks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import TrainingFault
from experimenter.policies.actions import Array, CategoricalHead, HeadGradient

if TYPE_CHECKING:
    from experimenter.envs.pipeline import Pipeline

__all__ = ["PART", "MaskedHead", "mask_among", "masked_head"]

PART: Final = "action_mask"
# What Stable-Baselines3's contrib puts in a logit's place: its exponential is zero.
NEVER: Final = -1e8


class MaskedHead(CategoricalHead):
    """Categorical choices behind a mask. What it is given are the network's outputs (n, outputs) and behind them the
    mask (n, outputs): zero where a choice is not possible. Where none is, all are alike."""

    def greedy(self, out: Array) -> NDArray[Any]:
        return super().greedy(self._possible(out))

    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        return super().choose(self._possible(out), log_std, noise)

    def forward(self, out: Array, log_std: Array | None, raw: NDArray[Any]) -> HeadGradient:
        return super().forward(self._possible(out), log_std, raw)

    def _possible(self, out: Array) -> Array:
        logits, mask = out[:, : self.outputs], out[:, self.outputs :]
        return np.where(mask > 0.5, logits, np.asarray(NEVER, dtype=out.dtype))


def masked_head(plain: Any) -> MaskedHead:
    """The head of ``plain``'s choices behind a mask. Raises TrainingFault for continuous actions."""
    if not isinstance(plain, CategoricalHead):
        raise TrainingFault(
            "only discrete actions can be masked, and this environment's are continuous",
            'Use the algorithm "ppo".',
        )
    return MaskedHead(plain.sizes, plain.start.tolist(), plain.single)


def mask_among(pipeline: Pipeline, outputs: int) -> tuple[int, int]:
    """Where the mask begins and ends among the inputs. Raises TrainingFault where there is none of that size."""
    start = 0
    for part in pipeline.parts:
        if part.name == PART and part.rule == "real" and part.size == outputs:
            return start, start + part.size
        start += part.size
    raise TrainingFault(
        f"no part {PART!r} of {outputs} zeros and ones, one for each choice, is in this environment's observation",
        f"Let the observation be a Dict with {PART!r} (a MultiBinary or Box), or use the algorithm that needs no mask:"
        ' "ppo".',
    )
