"""Stable-Baselines3 (Raffin et al. 2021), as its users call it, with the settings of the task and one thread.

Environments are built without rendering, which its own ``make_vec_env`` would ask for and pay for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from peers.common import (
    Answer,
    Meeting,
    Played,
    Task,
    answer,
    judged,
    leave,
    look,
    peak_mb,
    since_start,
    warm_up_steps,
)

__all__ = ["play", "play_with", "spaces_of"]


def play(task: Task, meet: Meeting) -> Answer:
    import stable_baselines3

    return play_with(stable_baselines3, task, meet)


def play_with(library: Any, task: Task, meet: Meeting) -> Answer:
    """``library`` offers ``PPO`` and ``SAC`` by Stable-Baselines3's interface."""
    import torch

    torch.set_num_threads(1)
    if task.warm:
        model = _model(library, task)
        model.learn(warm_up_steps(task))
        model.get_env().close()
    meet()
    began, models, watched = time.perf_counter(), [], []
    for index in range(task.members):
        member = task.member(index)
        models.append(_model(library, member))
        watched.append(_watch(member))
        models[-1].learn(task.steps, callback=watched[-1])
    seconds = time.perf_counter() - began - sum(watch.looking for watch in watched)
    since, memory, reached = since_start(task), peak_mb(), watched[-1].reached
    scores = tuple(judged(task, _played(task, model)) for model in models) if task.judge_it else ()
    return Answer(
        steps=sum(model.num_timesteps for model in models),
        seconds=seconds,
        since_start=since,
        peak_mb=memory,
        updates=None if task.algorithm == "ppo" else sum(int(model._n_updates) for model in models),
        reached=None if reached is None else reached[0],
        reached_steps=None if reached is None else reached[1],
        scores=scores,
    )


def _model(library: Any, task: Task) -> Any:
    return _sac(library, task) if task.algorithm == "sac" else _ppo(library, task)


def _ppo(library: Any, task: Task) -> Any:
    s = task.settings
    rate = s["learning_rate"]
    return library.PPO(
        "MlpPolicy",
        _environments(task, s),
        n_steps=s["num_steps"],
        batch_size=s["minibatch_size"],
        n_epochs=s["update_epochs"],
        learning_rate=(lambda left: rate * left) if s["anneal_learning_rate"] else rate,
        gamma=s["gamma"],
        gae_lambda=s["gae_lambda"],
        clip_range=s["clip_coef"],
        ent_coef=s["ent_coef"],
        vf_coef=s["vf_coef"],
        max_grad_norm=s["max_grad_norm"],
        policy_kwargs={"net_arch": list(task.hidden)},
        seed=task.seed,
        **_device(library),
    )


def _sac(library: Any, task: Task) -> Any:
    return library.SAC(
        "MlpPolicy",
        _environments(task, {"num_envs": 1}),
        policy_kwargs={"net_arch": list(task.hidden)},
        seed=task.seed,
        **task.settings,
        **_device(library),
    )


def _device(library: Any) -> dict[str, Any]:
    return {"device": "cpu"} if library.__name__ == "stable_baselines3" else {}


def _environments(task: Task, settings: dict[str, Any]) -> Any:
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

    make = [_maker(task.env)] * settings["num_envs"]
    made: Any = SubprocVecEnv(make) if task.vector == "subproc" else DummyVecEnv(make)
    obs, reward = (settings.get(f"normalize_{what}", False) for what in ("observations", "rewards"))
    if obs or reward:
        made = VecNormalize(made, norm_obs=obs, norm_reward=reward, gamma=settings["gamma"])
    return made


def _maker(env_id: str) -> Callable[[], Any]:
    return lambda: _environment(env_id)


def _environment(env_id: str) -> Any:
    import gymnasium

    if not env_id.startswith("MiniGrid-"):
        return gymnasium.make(env_id)
    import minigrid  # noqa: F401  (registers its environments)

    from peers.grids import OneHotView

    return OneHotView(gymnasium.make(env_id))


def _watch(task: Task) -> Any:
    """Holds the policy against the threshold, and leaves at the first step where that is all that is asked."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Watch(BaseCallback):
        looking, looked, reached = 0.0, 0, None

        def _on_training_start(self) -> None:
            self.began = time.perf_counter()

        def _on_rollout_start(self) -> None:
            if task.threshold is None or self.num_timesteps < self.looked + task.look_every:
                return
            now = time.perf_counter()
            self.looked = self.num_timesteps
            if look(task, _played(task, self.model)) >= task.threshold:
                self.reached = (now - self.began - self.looking, self.num_timesteps)
            self.looking += time.perf_counter() - now

        def _on_step(self) -> bool:
            if task.ends == "first step":
                leave(task)
            return self.reached is None

    return Watch()


def _played(task: Task, model: Any) -> Played:
    """The policy for the judge: the model's own ``predict``, on what its environments would have shown it."""
    from stable_baselines3.common.vec_env import VecNormalize

    around = model.get_env()

    def choose(obs: Any, greedy: bool) -> Any:
        if task.env.startswith("MiniGrid-"):
            from peers.grids import one_hot

            obs = one_hot(obs["image"])
        if isinstance(around, VecNormalize):
            obs = around.normalize_obs(obs)
        return model.predict(obs, deterministic=greedy)[0]

    return Played(choose, *spaces_of(task))


def spaces_of(task: Task) -> tuple[Any, Any]:
    from experimenter.envs.make import make
    from experimenter.envs.spaces import space_to_json
    from experimenter.records import EnvSpec

    env = make(EnvSpec.model_validate(task.spec))
    env.close()
    return space_to_json(env.observation_space), space_to_json(env.action_space)


if __name__ == "__main__":
    answer(play)
