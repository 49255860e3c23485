"""What an update of a library's learner tells, by CleanRL's names in ``metrics.jsonl``."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

__all__ = ["ActorLosses", "EntropyLosses", "ValueLosses"]


class _Losses:
    """What a learning curve's point asks of any algorithm; what is not told is zero."""

    __slots__ = ()
    approx_kl = 0.0
    explained_variance = 0.0
    entropy = 0.0

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(astuple(self)).all())  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class ActorLosses(_Losses):
    """TD3's: ``qf_loss`` is the sum of both critics'."""

    qf_loss: float
    actor_loss: float


@dataclass(frozen=True, slots=True)
class EntropyLosses(_Losses):
    """SAC's and TQC's; ``alpha`` is the entropy's temperature."""

    qf_loss: float
    actor_loss: float
    alpha_loss: float
    alpha: float


@dataclass(frozen=True, slots=True)
class ValueLosses(_Losses):
    """DQN's and QR-DQN's: ``td_loss`` is Huber's."""

    td_loss: float
