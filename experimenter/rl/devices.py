"""Where a network trains: on the graphics card only where there is one and it is faster for the network at hand.

Small networks are not: a card waits for the commands of each tiny product. So the choice is measured, and stored with
the run, which makes it no part of what a resumed run has to find out again.
"""

from __future__ import annotations

import time
from typing import Any, Final, Literal

import numpy as np

from experimenter.errors import UsageError
from experimenter.policies.actions import ActionHead, CategoricalHead, GaussianHead
from experimenter.policies.network import Shape, initial_params
from experimenter.records import Hyperparameters, Record
from experimenter.rl.ppo import Rollout

__all__ = ["Device", "DeviceChoice", "Wanted", "choose_device", "cuda_name", "quicker", "update_seconds"]

Device = Literal["cpu", "cuda"]
Wanted = Literal["auto", "cpu", "cuda"]
MINIBATCHES: Final = 4
ENVS: Final = 8


class DeviceChoice(Record):
    """The device, why it was chosen in words, and what one update took on each that was tried, in seconds."""

    device: Device
    reason: str
    seconds: dict[str, float] = {}


def choose_device(wanted: Wanted, shape: Shape, batch: int) -> DeviceChoice:
    """The device for networks of ``shape`` that learn from minibatches of ``batch`` rows.

    ``auto`` loads torch only for what is more than a perceptron. Raises UsageError when ``cuda`` is asked for and
    cannot be had.
    """
    if wanted == "cpu":
        return DeviceChoice(device="cpu", reason="it was asked for")
    if wanted == "cuda":
        return DeviceChoice(device="cuda", reason=f"it was asked for: {_cuda_or_refuse()}")
    if shape.plain:
        return DeviceChoice(device="cpu", reason="perceptrons of this size are quicker there")
    name = cuda_name()
    if name is None:
        return DeviceChoice(device="cpu", reason="no graphics card that PyTorch can use was found")
    return quicker({device: update_seconds(device, shape, batch) for device in ("cpu", "cuda")}, name)


def quicker(seconds: dict[str, float], name: str) -> DeviceChoice:
    """The quicker device by measurement; ``name`` is the graphics card's."""
    device: Device = "cuda" if seconds["cuda"] < seconds["cpu"] else "cpu"
    other = "the CPU" if device == "cuda" else name
    ratio = max(seconds.values()) / min(seconds.values())
    reason = f"an update takes {1000 * seconds[device]:.3g} ms, {ratio:.2g} times less than on {other}"
    return DeviceChoice(device=device, reason=reason, seconds=seconds)


def cuda_name() -> str | None:
    """The name of the graphics card that PyTorch would use; ``None`` without one, or without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else None


def _cuda_or_refuse() -> str:
    name = cuda_name()
    if name is not None:
        return name
    try:
        import torch
    except ImportError as cause:
        raise UsageError(
            "Training on a graphics card needs PyTorch, which is not installed.",
            "Install it with: pip install 'rl-experimenter[torch]', or leave --device out.",
        ) from cause
    built = torch.version.cuda
    raise UsageError(
        "No graphics card was found that PyTorch can use."
        if built
        else f"PyTorch {torch.__version__} is installed without support for graphics cards.",
        "Look whether nvidia-smi shows the card, or leave --device out."
        if built
        else "Install a build of torch with CUDA (pytorch.org says how), or leave --device out.",
    )


def update_seconds(device: Device, shape: Shape, batch: int) -> float:
    """What one update of a few minibatches takes on a device, after one that warms it up."""
    from experimenter.rl.autograd import AutogradLearner

    rng, head = np.random.default_rng(0), _head(shape)
    learner = AutogradLearner(shape, head, initial_params(shape, rng), device)
    hyper = Hyperparameters(minibatch_size=max(8, batch), update_epochs=1)
    rollout = _invented(shape, head, MINIBATCHES * hyper.minibatch_size // ENVS, rng)
    learner.update(rollout, hyper, 1e-4, rng)
    begun = time.perf_counter()
    learner.update(rollout, hyper, 1e-4, rng)
    return time.perf_counter() - begun


def _head(shape: Shape) -> ActionHead:
    if shape.log_std:
        return GaussianHead(np.full(shape.outputs, -1.0), np.ones(shape.outputs))
    return CategoricalHead([shape.outputs], [0], single=True)


def _invented(shape: Shape, head: ActionHead, steps: int, rng: np.random.Generator) -> Rollout:
    """A rollout of random numbers, whose update takes as long as any other."""
    flags = np.zeros((steps, ENVS), dtype=bool)
    raw: Any = rng.standard_normal((steps, ENVS, head.width)).astype(np.float32)
    if isinstance(head, CategoricalHead):
        raw = np.zeros((steps, ENVS, head.width), dtype=np.int64)
    nothing = np.zeros(0, dtype=np.int64)
    return Rollout(
        obs=rng.random((steps, ENVS, shape.inputs), dtype=np.float32),
        raw=raw,
        reward=rng.standard_normal((steps, ENVS)).astype(np.float32),
        terminated=flags,
        truncated=flags,
        final_obs=np.zeros((0, shape.inputs), dtype=np.float32),
        final_at=(nothing, nothing),
        last_obs=rng.random((ENVS, shape.inputs), dtype=np.float32),
    )
