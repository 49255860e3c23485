"""What is to be done: goals, environments, budgets, tasks, and designs, which hold everything that a training needs."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from experimenter.identity import digest, valid_name
from experimenter.records.base import Json, Lever, Record
from experimenter.records.offpolicy import OffPolicySettings

SKILL_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")


class EnvSpec(Record):
    """A Gymnasium environment that can be rebuilt: ``id`` (also ``module:Id``) and constructor parameters."""

    id: str
    kwargs: dict[str, Json] = Field(default_factory=dict)
    family: str = "gymnasium"

    @property
    def hash(self) -> str:
        return digest(self)


class Budget(Record):
    """Limits in four currencies; ``None`` is no limit. Steps are learning steps of single sub-environments."""

    env_steps: int | None = Field(default=None)
    seconds: float | None = Field(default=None)
    tokens: int | None = Field(default=None)
    dollars: float | None = Field(default=None)


class Goal(Record):
    """What the person asked for."""

    wish: str
    environment: EnvSpec
    judge: str | None = None
    judge_visibility: Literal["open", "hidden"] = "open"
    target: float | None = None
    budget: Budget = Budget()
    seed: int = Field(default=0, ge=0, lt=2**63)


class RewardProgram(Record):
    """Python source of ``def reward(t)``; see ``docs/reward-programs.md`` for the exact contract."""

    name: str
    source: str = Field(max_length=20_000)
    origin: str = "search"
    parents: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        return digest(self.source)


class Hyperparameters(Record):
    """PPO's settings, by the field's own names. ``num_steps`` is per sub-environment and rollout.

    Only continuous actions: ``log_std_init`` is the logarithm of the first deviation. ``sde`` explores by a function of
    the state that is drawn at each rollout's beginning and again after ``sde_sample_freq`` steps (−1: never); it is one
    for all phases of a design.

    ``ortho_init`` is how fresh networks begin: orthogonal, or as torch's layers do. Settings that leave all of these
    alone are written as they always were, so that designs keep their hashes.
    """

    num_envs: int = Field(default=8, ge=1, le=256)
    num_steps: int = Field(default=128, ge=1, le=4096)
    minibatch_size: int = Field(default=256, ge=8, le=65536)
    update_epochs: int = Field(default=4, ge=1, le=50)
    learning_rate: float = Field(default=1e-3, gt=0, le=0.1)
    anneal_learning_rate: bool = True
    gamma: float = Field(default=0.99, ge=0.0, le=1.0)
    gae_lambda: float = Field(default=0.95, ge=0.0, le=1.0)
    clip_coef: float = Field(default=0.2, gt=0, le=1.0)
    ent_coef: float = Field(default=0.01, ge=0.0, le=1.0)
    vf_coef: float = Field(default=0.5, ge=0.0, le=10.0)
    max_grad_norm: float = Field(default=0.5, gt=0.0)
    normalize_observations: bool = True
    normalize_rewards: bool = True
    sde: bool = False
    sde_sample_freq: int = Field(default=-1, ge=-1, le=65536)
    log_std_init: float = Field(default=0.0, ge=-20.0, le=2.0)
    ortho_init: bool = True

    @field_validator("sde_sample_freq")
    @classmethod
    def _never_or_some(cls, every: int) -> int:
        if every == 0:
            raise ValueError("sde_sample_freq is a number of steps, or -1 for once in a rollout")
        return every

    @property
    def rollout(self) -> int:
        """Transitions in one rollout."""
        return self.num_envs * self.num_steps

    @model_serializer(mode="wrap")
    def _as_it_always_was(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Json]:
        written: dict[str, Json] = handler(self)
        if info.mode == "json":
            for name in ("sde", "sde_sample_freq", "log_std_init", "ortho_init"):
                if name in written and written[name] == Hyperparameters.model_fields[name].default:
                    del written[name]
        return written


class Convolution(Record):
    """One convolutional layer without padding: so many filters of ``kernel`` × ``kernel``, ``stride`` apart."""

    filters: int = Field(ge=1, le=512)
    kernel: int = Field(ge=1, le=32)
    stride: int = Field(default=1, ge=1, le=32)


class Network(Record):
    """A multi-layer perceptron for the policy and another of the same shape for the value.

    ``convolution`` are layers that both share and that read the observation's image first; ``memory`` is the width of
    a recurrent layer that both share, after them (0: the policy remembers nothing), and ``cell`` its kind: a gated
    recurrent unit, or a long short-term memory. A network without any of them is written as it always was, so that
    designs keep their hashes.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"
    convolution: tuple[Convolution, ...] = ()
    memory: int = Field(default=0, ge=0, le=1024)
    cell: Literal["gru", "lstm"] = "gru"

    @model_validator(mode="after")
    def _cell_of_a_memory(self) -> Network:
        if self.cell != "gru" and not self.memory:
            raise ValueError(f"a network without a memory has no cell {self.cell!r}: give `memory` a width")
        return self

    @property
    def plain(self) -> bool:
        """Whether it is nothing but two perceptrons."""
        return not self.convolution and self.memory == 0

    @property
    def words(self) -> str:
        """The layers from the first to the last, such as ``16@3×3, 128 relu`` or ``64-64 tanh``."""
        seen = [
            f"{layer.filters}@{layer.kernel}×{layer.kernel}"
            + (f"/{layer.stride}" if layer.stride > 1 else "")
            for layer in self.convolution
        ]
        kind = " (LSTM)" if self.cell == "lstm" else ""
        remembered = [f"a memory of {self.memory}{kind}"] if self.memory else []
        layers = "-".join(str(width) for width in self.hidden)
        return ", ".join([*seen, *remembered, f"{layers} {self.activation}"])

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Json]:
        written: dict[str, Json] = handler(self)
        if not self.convolution:
            del written["convolution"]
        if not self.memory:
            del written["memory"]
        if self.cell == "gru":
            del written["cell"]
        return written


class PolicyRef(Record):
    """A stored policy: ``path`` is relative to the workspace, ``hash`` is verified at every load.

    ``lineage_steps`` counts every learning step behind it, across runs.
    """

    path: str
    hash: str
    lineage_steps: int = Field(ge=0)


class WeightedEnv(Record):
    environment: EnvSpec
    weight: float = Field(default=1.0, gt=0)


class MethodUse(Record):
    """A method skill, used in a training by name, with its parameters (plain JSON)."""

    name: str
    parameters: dict[str, Json] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _valid_name(cls, name: str) -> str:
        if not valid_name(name, SKILL_NAME):
            raise ValueError("a skill's name is [a-z][a-z0-9-]{0,63}")
        return name


class Phase(Record):
    """One stretch of training: a mixture of environments under one reward (``None`` is the native one).

    ``methods`` are the method skills that act while it trains. ``off_policy`` holds the settings of an algorithm that
    learns from a replay buffer, in place of ``hyperparameters``. A phase with neither is written as it always was, so
    that designs keep their hashes.
    """

    environments: tuple[WeightedEnv, ...] = Field(min_length=1)
    reward: RewardProgram | None = None
    hyperparameters: Hyperparameters = Hyperparameters()
    steps: int = Field(gt=0)
    methods: tuple[MethodUse, ...] = ()
    off_policy: OffPolicySettings | None = None

    @model_serializer(mode="wrap")
    def _without_empty_methods(self, handler: SerializerFunctionWrapHandler) -> dict[str, Json]:
        written: dict[str, Json] = handler(self)
        if not self.methods:
            del written["methods"]
        if self.off_policy is None:
            del written["off_policy"]
        return written


class Design(Record):
    """Everything a training needs. Its ``hash`` leaves out the name and the seeds."""

    name: str
    phases: tuple[Phase, ...] = Field(min_length=1)
    start: PolicyRef | None = None
    algorithm: str = "ppo"
    network: Network = Network()
    seeds: tuple[int, ...] = ()
    origin: str = "search"
    parent: str | None = None

    @field_validator("name")
    @classmethod
    def _valid_name(cls, name: str) -> str:
        if not valid_name(name):
            raise ValueError("a design's name is [a-z][a-z0-9_]{0,39}")
        return name

    @property
    def hash(self) -> str:
        return digest([self.phases, self.start, self.algorithm, self.network])

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    @property
    def lineage_steps(self) -> int:
        return self.start.lineage_steps if self.start else 0

    def with_steps(self, total: int) -> Design:
        """The same design with its phases stretched or shrunk, in proportion, to ``total`` steps (> 0)."""
        old, left, phases = self.steps, total, []
        for phase in self.phases[:-1]:
            share = max(1, round(total * phase.steps / old))
            phases.append(phase.model_copy(update={"steps": share}))
            left -= share
        last = self.phases[-1].model_copy(update={"steps": max(1, left)})
        return self.model_copy(update={"phases": (*phases, last)})


class Task(Record):
    """What to learn next."""

    name: str
    sentence: str
    environment: EnvSpec
    success: str = "the environment's own"
    reason: str = ""
    lever: Lever = "native"

    @field_validator("name")
    @classmethod
    def _valid_name(cls, name: str) -> str:
        if not valid_name(name):
            raise ValueError("a task's name is [a-z][a-z0-9_]{0,39}")
        return name
