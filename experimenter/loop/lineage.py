"""Where a starting policy came from: the frozen lineage that a confirmation replays from scratch."""

from __future__ import annotations

from experimenter.errors import WorkspaceError
from experimenter.loop.context import RunContext
from experimenter.loop.nodes.recall import recollections
from experimenter.records import Design, PolicyRef

__all__ = ["replayed"]


def replayed(ctx: RunContext, design: Design) -> Design:
    """``design`` from scratch: what its starting policy went through, then its own phases.

    The lineage comes from this run's stored recalls, so that a skill removed meanwhile changes nothing. Raises
    WorkspaceError when none of them tells it.
    """
    if design.start is None:
        return design
    before = _lineage(ctx, design.start)
    return design.model_copy(update={"phases": (*before.phases, *design.phases), "start": None})


def _lineage(ctx: RunContext, start: PolicyRef) -> Design:
    for found in recollections(ctx):
        for skill in found.skills:
            if skill.policy.hash == start.hash and skill.design is not None:
                return skill.design
    raise WorkspaceError(
        f"The run {ctx.run} does not tell how its starting policy {start.path} was trained.",
        "Start again with --memory off, or restore the run's rows from a backup.",
    )
