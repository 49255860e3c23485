"""How large several reward programs are on the same transitions, so that they can be made comparable.

A minimum over programs of very different size is only ever the smallest one's. The measure is taken once, at design
time, on random transitions, and becomes constants of a design.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.records import EnvCard
from experimenter.envs.spaces import space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.identity import seeds
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy
from experimenter.records import Network, RewardProgram
from experimenter.rl.rollout import Collector, Experience
from experimenter.rl.shaping import Shaper, open_program

__all__ = ["measured_scales"]

NUM_ENVS: Final = 8
GAMMA: Final = 0.99
_LEAST: Final = 1e-6
_RANGE: Final = (1e-6, 1e6)


def measured_scales(
    programs: Sequence[RewardProgram],
    card: EnvCard,
    *,
    steps: int = 1024,
    seed: int = 0,
    allow_unsandboxed: bool = False,
) -> tuple[tuple[float, ...], int]:
    """One factor for each program, which makes its reward vary by one (standard deviation) over random transitions;
    and the environment steps that this took, to be charged. A program that is constant there keeps its own size.

    Raises ProgramRejected, EnvironmentFault, ContainmentError.
    """
    experience = _random(card, steps, seed)
    factors = []
    for program in programs:
        with open_program(program, allow_unsandboxed=allow_unsandboxed) as opened:
            reward = Shaper(opened, card.features, NUM_ENVS, GAMMA).pay(experience).reward
        spread = float(np.std(reward))
        factors.append(float(np.clip(1.0 / spread, *_RANGE)) if spread > _LEAST else 1.0)
    return tuple(factors), experience.native.size


def _random(card: EnvCard, steps: int, seed: int) -> Experience:
    """Transitions of an untrained policy, which acts close to uniformly."""
    vector = SyncVector(card.spec, NUM_ENVS)
    try:
        spaces = space_to_json(vector.observation_space), space_to_json(vector.action_space)
        policy = Policy(
            Pipeline.for_space(vector.observation_space, card.spec.family), None, Network(), {}, *spaces
        )
        rng = np.random.default_rng(np.random.SeedSequence([seed]))
        policy.params = views(initial_params(policy.shape, rng), policy.shape)
        collector = Collector(vector, policy)
        collector.reset(seeds(seed, "probe", NUM_ENVS, "scales"))
        return collector.collect(max(1, steps // NUM_ENVS), rng)
    finally:
        vector.close()
