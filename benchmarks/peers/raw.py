"""Environments stepped with random actions and nothing else: what no training in Python can be faster than.

``vector`` "loop" is a bare loop over environments without Gymnasium's checker, the strictest measure; "gymnasium" is
its synchronous vector environment, of which a masked step after an episode's end is not counted; any other name is
one of the engine's own kinds.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np

from peers.common import Answer, Meeting, Task, answer, peak_mb, since_start, warm_up_steps

__all__ = ["play"]


def play(task: Task, meet: Meeting) -> Answer:
    if task.env.startswith("MiniGrid-"):
        import minigrid  # noqa: F401  (registers its environments)
    stepped = {"": _loop, "loop": _loop, "gymnasium": _vector}.get(task.vector, _engine)
    if task.warm:
        stepped(task, warm_up_steps(task))
    meet()
    began = time.perf_counter()
    steps = stepped(task, task.steps)
    return Answer(steps, time.perf_counter() - began, since_start(task), peak_mb())


def _make(task: Task) -> Any:
    return gymnasium.make(task.env, disable_env_checker=True)


def _loop(task: Task, total: int) -> int:
    count = int(task.settings["num_envs"])
    envs = [_make(task) for _ in range(count)]
    for i, env in enumerate(envs):
        env.reset(seed=task.seed + i)
    envs[0].action_space.seed(task.seed)
    for actions in _actions(envs[0].action_space, total // count, count):
        for env, action in zip(envs, actions, strict=True):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
    for env in envs:
        env.close()
    return total // count * count


def _vector(task: Task, total: int) -> int:
    count = int(task.settings["num_envs"])
    envs = gymnasium.vector.SyncVectorEnv([lambda: _make(task)] * count)
    envs.reset(seed=task.seed)
    envs.single_action_space.seed(task.seed)
    masked = 0
    for actions in _actions(envs.single_action_space, total // count, count):
        _, _, terminated, truncated, _ = envs.step(actions)
        masked += int(np.sum(terminated | truncated))
    envs.close()
    return total // count * count - masked


def _engine(task: Task, total: int) -> int:
    """The engine's own vector environment, which never gives a masked step."""
    from experimenter.envs.vectors.choosing import make_vector
    from experimenter.records import EnvSpec

    count = int(task.settings["num_envs"])
    envs = make_vector(task.vector, EnvSpec.model_validate(task.spec), count)
    envs.reset(range(task.seed, task.seed + count))
    envs.action_space.seed(task.seed)
    for actions in _actions(envs.action_space, total // count, count):
        envs.step(actions)
    envs.close()
    return total // count * count


def _actions(space: Any, times: int, count: int) -> Any:
    """(times, count, …), drawn before anything is stepped."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return space.np_random.integers(0, space.n, (times, count))
    return space.np_random.uniform(space.low, space.high, (times, count, *space.shape)).astype(space.dtype)


if __name__ == "__main__":
    answer(play)
