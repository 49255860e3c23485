"""Where a training stands in its design, and how far the next chunk goes. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from experimenter.records import Design, Phase, WeightedEnv

__all__ = ["Chunk", "allot", "next_chunk", "rollouts_per_chunk"]

GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Chunk:
    """``rollouts`` rollouts of ``num_steps`` × ``num_envs`` in phase ``phase``, of which ``done`` steps are behind."""

    phase: int
    done: int
    rollouts: int
    num_steps: int


def rollouts_per_chunk(phase: Phase, chunk_steps: int) -> int:
    return max(1, round(chunk_steps / phase.hyperparameters.rollout))


def next_chunk(
    design: Design, phase: int, done: int, steps: int, until: int, chunk_steps: int
) -> Chunk | None:
    """The chunk after ``steps`` steps in all, ``done`` of them in ``phase``; ``None`` at the end.

    Only whole rollouts, so that up to one rollout per phase is left unspent; a phase or budget smaller than a
    rollout gets one short rollout. Never more than ``until`` steps, except for the first step in each environment.
    """
    while phase < len(design.phases):
        now = design.phases[phase]
        hyper = now.hyperparameters
        left = min(now.steps - done, until - steps)
        whole = left // hyper.rollout
        if whole > 0:
            return Chunk(phase, done, min(whole, rollouts_per_chunk(now, chunk_steps)), hyper.num_steps)
        if done == 0 and (steps == 0 or left >= hyper.num_envs):
            return Chunk(phase, 0, 1, max(1, left // hyper.num_envs))
        phase, done = phase + 1, 0
    return None


def allot(environments: tuple[WeightedEnv, ...], slots: int, chunk: int) -> tuple[int, ...]:
    """Which environment each of ``slots`` sub-environments gets.

    Systematic sampling: every chunk gives each environment its share rounded up or down, and where the shares are
    not whole the offset moves from chunk to chunk, so that over time the weights hold.
    """
    total = sum(e.weight for e in environments)
    edges, at = [], 0.0
    for e in environments:
        at += e.weight / total
        edges.append(at)
    offset = (0.5 + chunk * GOLDEN) % 1.0
    points = [(i + offset) / slots for i in range(slots)]
    last = len(environments) - 1
    return tuple(next((j for j, edge in enumerate(edges) if p < edge), last) for p in points)
