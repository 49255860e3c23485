"""What an update tells, by CleanRL's names in ``metrics.jsonl``; what only PPO has is zero here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["DQNLosses", "Idle", "Losses", "SACLosses"]


class _Losses:
    """What a learning curve's point asks of any algorithm."""

    __slots__ = ()
    approx_kl = 0.0
    explained_variance = 0.0


@dataclass(frozen=True, slots=True)
class SACLosses(_Losses):
    """``qf_loss`` is half the sum of both critics' mean squared errors, ``entropy`` the estimate −log π."""

    qf_loss: float
    actor_loss: float
    alpha_loss: float
    alpha: float
    qf_values: float
    entropy: float

    @property
    def finite(self) -> bool:
        return bool(np.isfinite([self.qf_loss, self.actor_loss, self.alpha_loss, self.alpha]).all())


@dataclass(frozen=True, slots=True)
class DQNLosses(_Losses):
    """``td_loss`` is Huber's, ``q_values`` the mean value of the actions taken, ``grad_norm`` before its bound."""

    td_loss: float
    q_values: float
    grad_norm: float

    @property
    def entropy(self) -> float:
        return 0.0

    @property
    def finite(self) -> bool:
        return bool(np.isfinite([self.td_loss, self.q_values, self.grad_norm]).all())


@dataclass(frozen=True, slots=True)
class Idle(_Losses):
    """Nothing was learnt: the buffer is still being filled."""

    @property
    def entropy(self) -> float:
        return 0.0

    @property
    def finite(self) -> bool:
        return True


Losses = SACLosses | DQNLosses | Idle
