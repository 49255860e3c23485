"""The settings of algorithms that learn from a replay buffer, by the field's own names."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from experimenter.records.base import Record

__all__ = ["OffPolicySettings"]


class OffPolicySettings(Record):
    """SAC's and DQN's settings; the defaults are SAC's, and ``dqn()`` gives the other's.

    ``train_freq`` steps are taken in each of ``num_envs`` environments, their reward is paid at once, and then come
    ``gradient_steps`` updates, −1 for as many as transitions were collected. ``learning_starts`` transitions are
    collected with random actions first. Every ``target_update_interval`` updates the target networks move by ``tau``
    towards the learning ones. Observations are not normalised, and rewards enter the buffer as they were paid.

    Only SAC: ``ent_coef`` (the entropy's temperature; "auto" learns it) and ``target_entropy`` ("auto" is minus the
    number of action dimensions). Only DQN: the share of random actions falls linearly from
    ``exploration_initial_eps`` to ``exploration_final_eps`` over ``exploration_fraction`` of the design; ``double_q``
    lets the learning network choose the action that the target network values; ``max_grad_norm`` bounds a gradient.
    """

    num_envs: int = Field(default=1, ge=1, le=256)
    train_freq: int = Field(default=64, ge=1, le=4096)
    gradient_steps: int = Field(default=-1, ge=-1, le=65536)
    batch_size: int = Field(default=256, ge=1, le=65536)
    buffer_size: int = Field(default=1_000_000, ge=1, le=100_000_000)
    learning_starts: int = Field(default=1_000, ge=0)
    learning_rate: float = Field(default=3e-4, gt=0, le=0.1)
    gamma: float = Field(default=0.99, ge=0.0, le=1.0)
    tau: float = Field(default=0.005, gt=0.0, le=1.0)
    target_update_interval: int = Field(default=1, ge=1)
    ent_coef: float | Literal["auto"] = Field(default="auto")
    target_entropy: float | Literal["auto"] = Field(default="auto")
    exploration_initial_eps: float = Field(default=1.0, ge=0.0, le=1.0)
    exploration_fraction: float = Field(default=0.1, gt=0.0, le=1.0)
    exploration_final_eps: float = Field(default=0.05, ge=0.0, le=1.0)
    double_q: bool = True
    max_grad_norm: float = Field(default=10.0, gt=0.0)

    @property
    def rollout(self) -> int:
        """Transitions that are collected between two stretches of learning."""
        return self.num_envs * self.train_freq

    @property
    def updates(self) -> int:
        """Updates in one stretch of learning."""
        return self.rollout if self.gradient_steps == -1 else self.gradient_steps

    @classmethod
    def dqn(cls) -> OffPolicySettings:
        """What a DQN gets when nobody chose: stretches of 256 steps, learnt from as long as its target stands still.

        Chosen on CartPole, by a few validation episodes: this rhythm reached 500 in three trainings of three within
        40,000 steps; stretches of 64, a target that creeps, or an update for every fourth step in one of twelve.
        """
        return cls(
            train_freq=256, gradient_steps=128, batch_size=64, buffer_size=100_000, learning_rate=1e-3,
            tau=1.0, target_update_interval=128, exploration_fraction=0.16, exploration_final_eps=0.04,
        )  # fmt: skip
