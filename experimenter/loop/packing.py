"""Which trainings share a process as one population. It changes how fast they are done, never what comes out.

Members gain by each other where their environments are stepped in one batch; elsewhere a process for each, taken up as
soon as one is free, keeps every core busy longer. The grouping comes from the orders alone, so a resumed run may pack
what is left otherwise: a member's result does not depend on who stands beside it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from experimenter.identity import digest
from experimenter.loop.orders import Order

__all__ = ["packed"]


def packed(orders: Mapping[str, Order], workers: int, *, batched: bool) -> list[tuple[str, ...]]:
    """The steps of ``orders`` in groups, one for each job; groups of one are trained by themselves.

    ``batched``: whether their environments can be stepped in one batch.
    """
    alike: dict[Hashable, list[str]] = {}
    for step, order in orders.items():
        alike.setdefault(_likeness(order) if batched else step, []).append(step)
    return [part for steps in alike.values() for part in _shared_out(steps, workers)]


def _likeness(order: Order) -> Hashable:
    design, first = order.design, order.design.phases[0]
    rollout = first.hyperparameters.num_envs, first.hyperparameters.num_steps
    return digest([design.algorithm, design.network, list(rollout), first.environments, first.methods])


def _shared_out(steps: list[str], workers: int) -> list[tuple[str, ...]]:
    """Nearly equal parts, one for each worker; neighbours go to different ones, because they may cost alike."""
    return [part for start in range(workers) if (part := tuple(steps[start::workers]))]
