"""What the loop orders from the workers: one training each, and the job that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from experimenter.contracts import Job
from experimenter.identity import digest, seeds
from experimenter.loop.context import RunContext
from experimenter.loop.devices import device_of
from experimenter.loop.vectors import cores_each, vector_of
from experimenter.records import Design, Rival, Training

__all__ = ["VALIDATION_EPISODES", "Order", "described", "population_job", "train_job"]

VALIDATION_EPISODES: Final = 10


@dataclass(frozen=True, slots=True)
class Order:
    """One training wanted: a design with one seed up to ``until`` steps, kept in the folder ``place``.

    ``role`` says on whose account the steps go (``search`` or ``control``); ``place`` is relative to the run;
    ``before`` is the shorter training of the same design that this one continues. ``stopping`` may end it early, also
    for a ``rival``: only trainings of the search are ordered with it.
    """

    design: Design
    seed: int
    until: int
    place: str
    cycle: int
    trial: str
    role: str = "search"
    stop_at_plateau: bool = False
    stopping: Literal["off", "plateau", "forecast"] = "off"
    rival: Rival | None = None
    target: float | None = None
    validation: str = ""
    rung: int = 0
    before: Training | None = None

    def step(self, ctx: RunContext, kind: str = "train") -> str:
        return ctx.step_id(
            kind, self.cycle, self.rung, design=self.design.hash, seed=self.seed, steps=self.until
        )


def train_job(ctx: RunContext, step: str, order: Order) -> Job:
    """The job that does one order."""
    return Job(
        id=step,
        kind="train",
        payload={"job": _payload(ctx, step, order)},
        silence=ctx.settings.silence_seconds,
    )


def population_job(ctx: RunContext, orders: Mapping[str, Order]) -> Job:
    """The job that does several orders, by their steps, as one population; its id is made from theirs."""
    jobs = [_payload(ctx, step, order) for step, order in orders.items()]
    return Job(
        id=digest(list(orders)),
        kind="population",
        payload={"jobs": jobs},
        silence=ctx.settings.silence_seconds,
    )


def _payload(ctx: RunContext, step: str, order: Order) -> dict[str, Any]:
    folder = ctx.folder / order.place
    return {
        "step": step,
        "design": order.design.model_dump(mode="json"),
        "seed": order.seed,
        "features": [feature.model_dump(mode="json") for feature in ctx.card.features],
        "target_environment": ctx.card.spec.model_dump(mode="json"),
        "folder": str(folder),
        "relative": str(folder.relative_to(ctx.workspace.root)),
        "until": order.until,
        "chunk_steps": ctx.plan.chunk_steps,
        "validation_seeds": list(seeds(ctx.seed, "validation", VALIDATION_EPISODES, order.validation)),
        "judge": ctx.card.judge.model_dump(mode="json"),
        "target": order.target,
        "stop_at_plateau": order.stop_at_plateau,
        "stopping": order.stopping,
        "rival": None if order.rival is None else order.rival.model_dump(mode="json"),
        "allow_unsandboxed": ctx.settings.allow_unsandboxed,
        "device": device_of(ctx),
        "vector": vector_of(ctx),
        "cores": cores_each(ctx.settings),
        "silence": ctx.settings.silence_seconds,
    }


def described(order: Order) -> dict[str, Any]:
    """What events say about it."""
    return {
        "trial": order.trial,
        "design": order.design.name,
        "seed": order.seed,
        "until": order.until,
        "role": order.role,
    }
