"""Exchanges as a run archives them, and trials whose reward programs met different fates."""

from __future__ import annotations

from typing import Any

from run_samples import SPEC, design, trial

from experimenter.records import Candidate, Phase, RewardProgram, Trial, WeightedEnv
from experimenter.workspace.exchanges import Exchange
from experimenter.workspace.store import Workspace


def source(name: str) -> str:
    return f'def reward(t):\n    return {{"{name}": 1.0 * t.terminated}}\n'


def usage(
    model: str = "openai:gpt-5",
    tokens: tuple[Any, Any, Any] = (1000, 400, 50),
    dollars: Any = 0.02,
    seconds: float = 2.0,
    **more: Any,
) -> dict[str, Any]:
    """What a question to one model leaves behind; ``tokens`` are input, cached of it, output."""
    read, cached, written = tokens
    return {
        "v": 1,
        "planner": "llm",
        "models": [model],
        "served_as": ["gpt-5-2025-08-07"],
        "rungs": ["native"],
        "calls": ["a" * 32],
        "prompt": "b" * 32,
        "input_tokens": read,
        "cached_input_tokens": cached,
        "output_tokens": written,
        "dollars": dollars,
        "seconds": seconds,
        "repairs": 0,
        "rejected": [],
    } | more


def exchange(kind: str, used: Any, answer: Any = None, *, refused: bool = False) -> Exchange:
    told = {"refused": refused, "answer": {"v": 1} if answer is None else answer}
    return Exchange("x", "r", kind, {"v": 1}, told, used, "2026-11-21T10:00:00+00:00")


def put(store: Workspace, run: str, *found: Exchange) -> None:
    for number, one in enumerate(found):
        store.put_exchange(run, f"{run}/{number}", one.kind, one.question, one.answer, one.usage)


def tried(name: str, *, repairs: int = 0, discarded: str = "", origin: str = "reward") -> Candidate:
    """A candidate with the program ``name``, by a language model."""
    program = RewardProgram(name=name, source=source(name), origin="llm")
    phase = Phase(environments=(WeightedEnv(environment=SPEC),), reward=program, steps=1000)
    whole = design(name, 1000).model_copy(update={"phases": (phase,), "origin": origin})
    return Candidate(design=whole, repairs=repairs, discarded=discarded)


def trial_of(cycle: int, *candidates: Candidate) -> Trial:
    return trial(cycle, "reward", -150.0).model_copy(update={"candidates": candidates, "best": None})
