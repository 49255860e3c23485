"""Small trainings of any algorithm, and policies without an environment, for the tests of algorithms as plug-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy
from experimenter.records import (
    EnvSpec,
    Hyperparameters,
    Network,
    OffPolicySettings,
    Phase,
    RewardProgram,
    WeightedEnv,
)
from experimenter.rl.algorithms import algorithm
from experimenter.rl.offpolicy.settings import settled
from experimenter.rl.training import TrainJob
from tests.kernel.rl_samples import CARTPOLE, job

__all__ = ["ACTIONS", "PENDULUM", "blank_policy", "sample_job"]

PENDULUM = EnvSpec(id="Pendulum-v1")
# By what the policy says.
NETWORKS = {
    "squashed": Network(hidden=(32, 24), activation="relu"),
    "values": Network(hidden=(32, 24), activation="relu"),
    "distribution": Network(hidden=(16, 12)),
    "masked": Network(hidden=(32,)),
}
ACTIONS = {
    "squashed": spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32)),
    "values": spaces.Discrete(4, start=-1),
    "distribution": spaces.Box(-3.0, 1.0, (2,)),
}


def blank_policy(name: str, action_space: Any = None, network: Network | None = None) -> Policy:
    """A policy for the algorithm ``name``, with weights of its own, that sees five numbers."""
    said = getattr(algorithm(name), "said", "distribution")
    seen, does = spaces.Box(-np.inf, np.inf, (5,), np.float32), action_space or ACTIONS[said]
    shown = space_to_json(seen), space_to_json(does)
    policy = Policy(Pipeline.for_space(seen), None, network or NETWORKS[said], {}, *shown, said=said)
    rng = np.random.default_rng(7)
    flat = np.zeros(policy.shape.size, np.float32)
    if said == "distribution":
        flat[:] = initial_params(policy.shape, rng)
    flat += 0.1 * rng.standard_normal(flat.size).astype(np.float32)
    policy.params = views(flat, policy.shape)
    return policy


def sample_job(
    workspace: Path,
    name: str,
    *,
    environment: EnvSpec | None = None,
    rewards: tuple[RewardProgram | None, ...] = (None,),
    steps: int = 512,
    network: Network | None = None,
    **changes: Any,
) -> TrainJob:
    """512 steps in chunks of 128, where its actions can be learnt; a phase for each of ``rewards``."""
    found = algorithm(name)
    said = getattr(found, "said", "distribution")
    does = environment or (PENDULUM if said == "squashed" else CARTPOLE)
    phases = tuple(_phase(name, does, reward, steps // len(rewards)) for reward in rewards)
    made = job(workspace, *phases, environment=does, **{"chunk_steps": 128, **changes})
    design = made.design.model_copy(
        update={"algorithm": name, "network": network or _network(name, said), "phases": phases}
    )
    return made.model_copy(update={"design": settled(design)})


def _network(name: str, said: str) -> Network:
    return Network(hidden=(16,), memory=8, cell="lstm") if name == "recurrent-ppo" else NETWORKS[said]


def _phase(name: str, environment: EnvSpec, reward: RewardProgram | None, steps: int) -> Phase:
    told: dict[str, Any] = {"environments": (WeightedEnv(environment=environment),), "reward": reward}
    usual = getattr(algorithm(name), "usual", None)
    if usual is None:
        return Phase(
            **told, steps=steps, hyperparameters=Hyperparameters(num_envs=4, num_steps=16, minibatch_size=32)
        )
    few = {"num_envs": 2, "train_freq": 32, "batch_size": 32, "learning_starts": 96, "gradient_steps": 2}
    settings: OffPolicySettings = usual().model_copy(update=few)
    return Phase(**told, steps=steps, off_policy=settings)
