"""Which device a run trains on: chosen once before it starts, stored with it, and the same for all of its trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experimenter.config import Settings
from experimenter.envs.records import EnvCard
from experimenter.errors import UsageError

if TYPE_CHECKING:
    from experimenter.loop.context import RunContext
    from experimenter.rl.devices import Device, DeviceChoice

__all__ = ["DOCUMENT", "choice_for", "device_of"]

DOCUMENT = "device"


def choice_for(settings: Settings, card: EnvCard) -> DeviceChoice:
    """The device for the shipped default network of this environment. Raises UsageError for one that is not there."""
    from experimenter.envs.images import find_image
    from experimenter.envs.pipeline import Pipeline
    from experimenter.envs.spaces import space_from_json
    from experimenter.policies.actions import head_for
    from experimenter.policies.policy import shape_for
    from experimenter.rl.defaults import default_hyperparameters, default_network
    from experimenter.rl.devices import choose_device

    if settings.algorithm != "ppo":
        return _without(settings)
    pipeline = Pipeline.for_space(space_from_json(card.observation_space), card.spec.family)
    head = head_for(space_from_json(card.action_space))
    shape = shape_for(pipeline.size, default_network(card), head, find_image(pipeline.parts))
    return choose_device(settings.device, shape, default_hyperparameters(card).minibatch_size)


def _without(settings: Settings) -> DeviceChoice:
    from experimenter.rl.devices import DeviceChoice

    name = settings.algorithm.upper()
    if settings.device == "cuda":
        raise UsageError(
            f"{name} trains on the CPU only.", "Leave --device out, or train with --algorithm ppo."
        )
    return DeviceChoice(device="cpu", reason=f"{name} trains on the CPU only")


def device_of(ctx: RunContext) -> Device:
    """What was chosen for the run, or for the one whose control arm it is; runs of older releases use the CPU."""
    root = ctx if ctx.parent is None else ctx.parent
    stored = ctx.workspace.document(root.run, DOCUMENT)
    return "cuda" if stored is not None and stored["device"] == "cuda" else "cpu"
