"""Every row of the table: who is measured beside whom, at what, and what it has to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from peers.figures import Asked

__all__ = ["CONTESTS", "Contest", "Side"]


@dataclass(frozen=True)
class Side:
    """A peer's module with what differs from the contest's task. ``chosen``: the settings and the network that the
    engine itself would choose. ``needs`` says what has to be there (see ``parts.missing``); an ``extra`` side is
    left out where it is not, any other makes the row "not available"."""

    peer: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    chosen: bool = False
    needs: tuple[str, ...] = ()
    extra: bool = False


@dataclass(frozen=True)
class Contest:
    """``what`` in words; ``measure`` is a key of ``figures.MEASURES``, or "curves"; ``sides`` in the order in which
    they take turns, the engine's first; ``span`` is the range of scores of a "score" row."""

    name: str
    what: str
    measure: str
    task: Mapping[str, Any]
    sides: Mapping[str, Side]
    asked: Asked | None
    pairs: int = 5
    span: float = 0.0


SAME: Final = {
    "num_envs": 8, "num_steps": 128, "minibatch_size": 256, "update_epochs": 4, "learning_rate": 1e-3,
    "anneal_learning_rate": True, "gamma": 0.99, "gae_lambda": 0.95, "clip_coef": 0.2, "ent_coef": 0.0,
    "vf_coef": 0.5, "max_grad_norm": 0.5, "normalize_observations": False, "normalize_rewards": False,
}  # fmt: skip
# What Stable-Baselines3's own collection of tuned settings gives LunarLander.
LANDING: Final = SAME | {
    "num_envs": 16, "num_steps": 1024, "minibatch_size": 64, "learning_rate": 3e-4, "gamma": 0.999,
    "gae_lambda": 0.98, "ent_coef": 0.01, "anneal_learning_rate": False,
}  # fmt: skip
ONE_STEP: Final = SAME | {"num_steps": 1, "minibatch_size": 8}
GRID: Final = SAME | {"num_envs": 16, "ent_coef": 0.01}

CART: Final = {"env": "CartPole-v1", "steps": 65_536, "settings": SAME}
FLOCK: Final = CART | {"steps": 20_480, "members": 16}
LAND: Final = {"env": "LunarLander-v3", "steps": 32_768, "settings": SAME}
LANDED: Final = {
    "env": "LunarLander-v3", "steps": 1_000_000, "settings": LANDING, "threshold": 200.0, "look_every": 32_768,
}  # fmt: skip
STANDING: Final = CART | {"steps": 200_704, "threshold": 475.0, "look_every": 4096}

REPLAYING: Final = {
    "learning_starts": 1000, "batch_size": 256, "buffer_size": 1_000_000, "learning_rate": 3e-4, "gamma": 0.99,
    "tau": 0.005, "train_freq": 1, "gradient_steps": 1,
}  # fmt: skip
HOP: Final = {
    "env": "Hopper-v5", "algorithm": "sac", "steps": 5_000, "settings": REPLAYING, "hidden": (256, 256),
}  # fmt: skip
STRETCHES: Final = {"settings": REPLAYING | {"train_freq": 64, "gradient_steps": 64}}

OURS: Final = Side("ours")
SB3: Final = Side("sb3", needs=("module:stable_baselines3",))
CLEANRL: Final = Side("cleanrl", needs=("module:torch",), extra=True)
SBX: Final = Side("sbx", needs=("module:sbx",), extra=True)
LOOPED: Final = Side("ours", {"vector": "sync"})
CHOSEN: Final = Side("ours", chosen=True)
POOLED: Final = Side("ours", {"vector": "envpool", "cores": 2}, needs=("module:envpool",))
SAC: Final = Side("ours", STRETCHES, needs=("module:mujoco",))
SBX_SAC: Final = Side("ours", STRETCHES | {"algorithm": "sbx-sac"}, needs=("module:sbx", "module:mujoco"))


def _share_of_raw(name: str, env: str, settings: Mapping[str, Any], at_least: float, *needs: str) -> Contest:
    return Contest(
        f"raw-{name}",
        f"{env}: learning as a share of stepping alone, at random, in a synchronous Python vector environment",
        "rate",
        {"env": env, "steps": 32_768, "settings": settings},
        {
            "engine": Side("ours", LOOPED.changes, needs=needs),
            "raw": Side("raw", {"vector": "gymnasium"}, needs=needs),
            "raw loop": Side("raw", needs=needs),
        },
        Asked(at_least=at_least, against="raw"),
    )


def _share_of_bound(name: str, processes: int, at_least: float) -> Contest:
    many = {"processes": processes}
    return Contest(
        name,
        f"16 CartPole trainings as a population on {processes} process(es), as a share of the arithmetic bound",
        "rate",
        FLOCK | {"steps": 32_768},
        {"engine": Side("ours", many), "bound": Side("bound", many)},
        Asked(at_least=at_least, against="bound"),
    )


_ALL: Final = (
    Contest(
        "cartpole-ppo", "CartPole, one training, the same settings, one thread", "rate", CART,
        {
            "engine": OURS, "sb3": SB3, "cleanrl": CLEANRL, "sbx": SBX, "engine, sync": LOOPED,
            "engine, validating": Side("ours", {"validate": True}, extra=True),
        },
        Asked(at_least=4.5, against="sb3"),
    ),
    Contest(
        "cartpole-ppo-autograd", "the same, with PyTorch's gradients", "rate", CART,
        {"engine": Side("ours", {"learner": "autograd"}, needs=("module:torch",)), "sb3": SB3},
        Asked(at_least=2.3, against="sb3"),
    ),
    Contest(
        "cartpole-ppo-chosen", "CartPole, with the settings that the engine itself would choose", "rate", CART,
        {"engine": CHOSEN, "sb3": SB3}, Asked(at_least=8.0, against="sb3"),
    ),
    Contest(
        "cartpole-quality", "CartPole, final true score, the same settings", "score",
        CART | {"steps": 102_400, "judge_it": True},
        {"engine": OURS, "sb3": SB3}, Asked(at_least=-0.05, against="sb3"), pairs=40, span=500.0,
    ),
    Contest(
        "cartpole-quality-chosen", "CartPole, final true score, with the engine's own settings and validation", "score",
        CART | {"steps": 102_400, "judge_it": True},
        {"engine": Side("ours", {"validate": True}, chosen=True), "sb3": SB3},
        Asked(at_least=-0.05, against="sb3"), pairs=20, span=500.0,
    ),
    Contest(
        "cartpole-475", "CartPole, seconds until 20 greedy episodes average 475, the same settings", "reached",
        STANDING, {"engine": OURS, "sb3": SB3}, Asked(at_most=0.25, against="sb3"), pairs=25,
    ),
    Contest(
        "cartpole-475-chosen", "the same, with the engine's own settings", "reached", STANDING,
        {"engine": CHOSEN, "sb3": SB3}, Asked(at_most=0.25, against="sb3"), pairs=9,
    ),
    Contest(
        "lunarlander-200", "LunarLander, seconds of learning until 20 greedy episodes average 200", "reached", LANDED,
        {"engine": LOOPED, "sb3": SB3}, Asked(at_most=0.65, against="sb3"),
    ),
    Contest(
        "lunarlander-200-envpool", "the same, with EnvPool", "reached", LANDED,
        {"engine": POOLED, "sb3": SB3}, Asked(at_most=0.33, against="sb3"),
    ),
    Contest(
        "cartpole-population", "16 CartPole trainings of 20 k steps on two processes, imports included", "finished",
        FLOCK | {"warm": False, "processes": 2},
        {"engine": OURS, "sb3": SB3, "engine, one process": Side("ours", {"processes": 1}, extra=True)},
        Asked(at_least=10.0, against="sb3"),
    ),
    _share_of_bound("population-bound", 1, 0.40),
    _share_of_bound("population-bound-two", 2, 0.35),
    Contest(
        "population-same", "16 members and 16 single trainings: the largest relative difference of their curves",
        "curves", FLOCK | {"validate": True, "warm": False},
        {"engine": OURS, "one by one": Side("ours", {"batched": False})}, Asked(at_most=1e-5), pairs=1,
    ),
    Contest(
        "population-memory", "peak memory of 16 members in one process", "memory", FLOCK | {"warm": False},
        {
            "engine": OURS, "one member": Side("ours", {"members": 1}),
            "sb3, one": Side("sb3", {"members": 1}, needs=SB3.needs),
        }, None,
    ),
    _share_of_raw("hopper", "Hopper-v5", SAME, 0.85, "module:mujoco"),
    _share_of_raw("minigrid", "MiniGrid-DoorKey-5x5-v0", GRID, 0.85, "module:minigrid"),
    _share_of_raw("halfcheetah", "HalfCheetah-v5", SAME, 0.75, "module:mujoco"),
    _share_of_raw("lunarlander", "LunarLander-v3", SAME, 0.70, "module:Box2D"),
    Contest(
        "envpool-lunarlander", "LunarLander with EnvPool on two threads, one training", "rate", LAND,
        {"engine": POOLED, "sb3": SB3}, Asked(at_least=3.5, against="sb3"),
    ),
    Contest(
        "envpool-doorkey", "DoorKey-5x5 with EnvPool on two threads, one training, one-hot views for both", "rate",
        {"env": "MiniGrid-DoorKey-5x5-v0", "steps": 32_768, "settings": GRID},
        {"engine": POOLED, "sb3": SB3}, Asked(at_least=5.5, against="sb3"),
    ),
    Contest(
        "sac-hopper", "SAC on Hopper, one thread, an update for every step", "updates", HOP,
        {
            "engine": SAC, "sb3": SB3,
            "sb3, learning in stretches": Side("sb3", STRETCHES, needs=SB3.needs, extra=True),
        },
        Asked(at_least=1.3, against="sb3"),
    ),
    Contest(
        "sac-hopper-sbx", "the same, the engine with the SBX extra", "updates", HOP,
        {"engine": SBX_SAC, "sb3": SB3},
        Asked(at_least=2.0, against="sb3"),
    ),
    Contest(
        "sac-hopper-quality", "SAC on Hopper, final true score", "score", HOP | {"steps": 10_000, "judge_it": True},
        {"engine": SAC, "sb3": SB3}, Asked(at_least=-0.05, against="sb3"), pairs=12, span=3000.0,
    ),
    Contest(
        "sb3-vectors", "which of its vector environments is the fastest for Stable-Baselines3 on CartPole", "rate",
        CART | {"steps": 32_768},
        {"dummy": SB3, "subprocesses": Side("sb3", {"vector": "subproc"}, needs=SB3.needs)}, None,
    ),
    Contest(
        "workers", "CarRacing-v3, a slow environment, stepped at random by the engine's worker processes", "rate",
        {"env": "CarRacing-v3", "steps": 1_600, "settings": SAME, "warm": False},
        {
            "engine": Side("raw", {"vector": "workers"}, needs=("module:Box2D",)),
            "engine, sync": Side("raw", {"vector": "sync"}, needs=("module:Box2D",)),
        },
        None,
    ),
    Contest(
        "first-step", "from the start of the interpreter to the first step in an environment", "first step",
        CART | {"steps": 8, "settings": ONE_STEP, "warm": False, "ends": "first step"},
        {"engine": OURS, "engine, sync": LOOPED, "sb3": SB3}, Asked(at_most=0.25),
    ),
)  # fmt: skip
CONTESTS: Final[Mapping[str, Contest]] = {contest.name: contest for contest in _ALL}
