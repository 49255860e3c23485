"""Small trainings that the engine's tests share; as a script, trains one job and prints its result."""

from __future__ import annotations

import sys
from pathlib import Path

from experimenter.envs.records import Feature, FeatureSource
from experimenter.identity import canonical_json, seeds
from experimenter.records import (
    Design,
    EnvSpec,
    Hyperparameters,
    JudgeSpec,
    Network,
    Phase,
    RewardProgram,
    Training,
    WeightedEnv,
)
from experimenter.rl.training import TrainJob, train

CARTPOLE = EnvSpec(id="CartPole-v1")
MOUNTAIN_CAR = EnvSpec(id="MountainCar-v0")
TINY = Network(hidden=(16, 16))
SMALL = Hyperparameters(num_envs=4, num_steps=32, minibatch_size=64)
CAR_FEATURES = (
    Feature(
        name="position",
        low=-1.2,
        high=0.6,
        measured_low=-0.6,
        measured_high=-0.4,
        source=FeatureSource(index=0),
    ),
    Feature(
        name="velocity",
        low=-0.07,
        high=0.07,
        measured_low=-0.01,
        measured_high=0.01,
        source=FeatureSource(index=1),
    ),
)
SWING = RewardProgram(
    name="swing",
    source="def reward(t):\n"
    "    speed = np.abs(t.next.velocity) * t.gamma - np.abs(t.now.velocity)\n"
    '    return {"speed": 100.0 * speed, "native": t.native_reward}\n',
)


def phase(
    *specs: EnvSpec, steps: int, hyper: Hyperparameters = SMALL, reward: RewardProgram | None = None
) -> Phase:
    environments = tuple(WeightedEnv(environment=spec) for spec in specs)
    return Phase(environments=environments, reward=reward, hyperparameters=hyper, steps=steps)


def job(
    workspace: Path, *phases: Phase, environment: EnvSpec = CARTPOLE, network: Network = TINY, **changes
) -> TrainJob:
    """A job of 2,048 steps in chunks of 512 unless told otherwise; in ``workspace``."""
    steps = sum(p.steps for p in phases)
    settings = {
        "step": "test",
        "design": Design(name="sample", phases=phases, network=network),
        "seed": 11,
        "features": (),
        "target_environment": environment,
        "folder": str(workspace.absolute() / "runs" / "t"),
        "relative": "runs/t",
        "until": steps,
        "chunk_steps": 512,
        "validation_seeds": seeds(0, "validation", 4),
        "judge": JudgeSpec(),
    }
    return TrainJob.model_validate(settings | changes)


def lasting(training: Training) -> str:
    """What must be identical between two trainings: all but times and what kills wasted."""
    return canonical_json(training.model_dump(mode="json", exclude={"seconds", "wasted_env_steps"}))


def quiet(_: dict) -> None:
    return None


__all__ = ["CARTPOLE", "CAR_FEATURES", "MOUNTAIN_CAR", "SMALL", "SWING", "job", "lasting", "phase", "quiet"]

if __name__ == "__main__":
    print(train(TrainJob.model_validate_json(Path(sys.argv[1]).read_text()), quiet).model_dump_json())
