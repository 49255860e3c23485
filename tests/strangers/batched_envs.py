"""One small environment with batched versions of every kind, right and wrong: ``batched_envs:DriftSame-v0``."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

LIMIT, EDGE = 40, 1.0
SLOW = np.array([1.0, 0.1])
SEEN = spaces.Box(-4.0, 4.0, (2,), np.float32)
DONE = spaces.Discrete(2)


class Drift(gymnasium.Env):
    """A point that is pushed left or right and must stay between two edges; it begins anywhere in the middle."""

    observation_space, action_space = SEEN, DONE

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = SLOW * self.np_random.uniform(-0.5, 0.5, size=(2,))
        return self.at.astype(np.float32), {}

    def step(self, action):
        self.at = moved(self.at[None], np.array([action]))[0]
        over = abs(self.at[0]) > EDGE
        return self.at.astype(np.float32), float(self.at[0]), bool(over), False, {}


def moved(at, actions, push=0.05):
    speed = at[:, 1] * 0.9 + (2 * actions - 1) * push
    return np.stack([at[:, 0] + speed, speed], axis=1)


class Batched(VectorEnv):
    """What all batched versions share; ``at`` (n, 2) is not called state, so nobody can copy it."""

    push = 0.05

    def __init__(self, num_envs=1, max_episode_steps=LIMIT):
        self.num_envs, self.limit = num_envs, max_episode_steps
        self.single_observation_space, self.single_action_space = SEEN, DONE
        self.observation_space = batch_space(SEEN, num_envs)
        self.action_space = batch_space(DONE, num_envs)
        self.at, self.taken = np.zeros((num_envs, 2)), np.zeros(num_envs, dtype=int)

    def _move(self, actions):
        self.at = moved(self.at, actions, self.push)
        self.taken += 1
        return self.at[:, 0].copy(), np.abs(self.at[:, 0]) > EDGE, self.taken >= self.limit

    def _begin(self, mask, drawn):
        self.at[mask], self.taken[mask] = SLOW * drawn, 0


class Same(Batched):
    """Resets within the step, and has a generator for each row."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def reset(self, *, seed=None, options=None):
        self.own = [np.random.default_rng(one) for one in seed]
        self._begin(slice(None), self._drawn(range(self.num_envs)))
        return self.at.astype(np.float32), {}

    def _drawn(self, rows):
        return np.array([self.own[row].uniform(-0.5, 0.5, 2) for row in rows])

    def step(self, actions):
        reward, over, cut = self._move(actions)
        done, infos = over | cut, {"side": self.at[:, 0] > 0, "_side": np.ones(self.num_envs, dtype=bool)}
        if done.any():
            final = np.full(self.num_envs, None, dtype=object)
            for row in np.flatnonzero(done):
                final[row] = self.at[row].astype(np.float32)
            infos |= {"final_obs": final, "_final_obs": done}
            self._begin(done, self._drawn(np.flatnonzero(done)))
        return self.at.astype(np.float32), reward, over, cut, infos


class Shared(Same):
    """As ``Same``, but all rows draw from one generator."""

    def reset(self, *, seed=None, options=None):
        self.own = [np.random.default_rng(seed[0])] * self.num_envs
        self._begin(slice(None), self._drawn(range(self.num_envs)))
        return self.at.astype(np.float32), {}


class Masked(Batched):
    """Resets when it is asked to, drawing for the rows that are reset from ``np_random``."""

    metadata = {"autoreset_mode": AutoresetMode.DISABLED}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, dtype=bool))
        self._begin(mask, self.np_random.uniform(-0.5, 0.5, size=(int(mask.sum()), 2)))
        return self.at.astype(np.float32), {}

    def step(self, actions):
        reward, over, cut = self._move(actions)
        return self.at.astype(np.float32), reward, over, cut, {}


class Stronger(Masked):
    """Pushes a fifth harder than the Python version."""

    push = 0.06


class Sickly(Masked):
    """Observes NaN in its third row at the fifth step."""

    def step(self, actions):
        obs, reward, over, cut, infos = super().step(actions)
        if self.taken.max() == 5:
            obs[2 % self.num_envs, 0] = np.nan
        return obs, reward, over, cut, infos


class Later(Batched):
    """Resets on the next step, and keeps nothing that could be written."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}


class Gusts(gymnasium.Env):
    """A point that wind moves as well, drawn at every step."""

    observation_space, action_space = SEEN, DONE

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.uniform(-0.1, 0.1, size=(2,))
        return self.at.astype(np.float32), {}

    def step(self, action):
        self.at = self.at + self.np_random.uniform(-0.1, 0.1, size=(2,)) + (action - 0.5) * 0.01
        return self.at.astype(np.float32), 1.0, bool(np.abs(self.at).max() > EDGE), False, {}


class ManyGusts(VectorEnv):
    """Its batched version, which resets on the next step and keeps what can be written."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs=1, max_episode_steps=LIMIT):
        self.num_envs, self.limit = num_envs, max_episode_steps
        self.single_observation_space, self.single_action_space = SEEN, DONE
        self.observation_space = batch_space(SEEN, num_envs)
        self.action_space = batch_space(DONE, num_envs)
        self.state, self.steps = None, np.zeros(num_envs, np.int32)
        self.prev_done = np.zeros(num_envs, dtype=bool)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-0.1, 0.1, size=(2, self.num_envs))
        self.steps, self.prev_done = np.zeros(self.num_envs, np.int32), np.zeros(self.num_envs, dtype=bool)
        return self.state.T.astype(np.float32), {}

    def step(self, actions):
        wind = self.np_random.uniform(-0.1, 0.1, size=(2, self.num_envs))
        self.state = self.state + wind + (np.asarray(actions) - 0.5) * 0.01
        self.steps += 1
        over, cut = np.abs(self.state).max(axis=0) > EDGE, self.steps >= self.limit
        return self.state.T.astype(np.float32), np.ones(self.num_envs), over, cut, {}


gymnasium.register(
    "Gusts-v0",
    entry_point="batched_envs:Gusts",
    vector_entry_point="batched_envs:ManyGusts",
    max_episode_steps=LIMIT,
)
for kind in (Same, Shared, Masked, Stronger, Sickly, Later):
    gymnasium.register(
        f"Drift{kind.__name__}-v0",
        entry_point="batched_envs:Drift",
        vector_entry_point=f"batched_envs:{kind.__name__}",
        max_episode_steps=LIMIT,
    )
