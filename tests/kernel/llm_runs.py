"""Runs planned by a language model that is played here: it reads the prompt's heading, and answers by the book.

Its answers are scripted: what these runs show is the machinery around a model, never how well one plans.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from experimenter.api import Experimenter
from experimenter.testing.models import Asked

WISH = "walk to the far end"
ENV = "corridor_env:Corridor-v0"
PROGRAM = """```python
def reward(t):
    # Every step to the right pays.
    right = t.next_obs[:, 0] - t.obs[:, 0]
    return {"right": %s * right, "goal": t.native_reward}
```"""


def heading(asked: Asked) -> str:
    """What is asked, by the first heading of the last prompt that has one."""
    found = [line for _, text in asked.turns for line in text.splitlines() if line.startswith("# ")]
    return found[0].removeprefix("# ") if found else ""


def by_the_book(asked: Asked) -> str:
    """A valid reply to every question that the loop asks."""
    kind, last = heading(asked), asked.turns[-1][1]
    if kind == "Write rewards" and "Write program" in last:
        return PROGRAM % (5.0 + int(re.search(r"Write program (\d+)", last)[1]))
    if kind == "Repair a reward program" or "complete program" in last:
        return PROGRAM % 9.0
    return json.dumps(_form(kind, asked))


def _form(kind: str, asked: Asked) -> dict[str, Any]:
    if kind == "Write rewards":
        count = int(re.search(r"Think of (\d+) reward programs", _text(asked))[1])
        return {
            "ideas": [{"name": f"right_{n}", "idea": "Pay for steps to the right."} for n in range(count)]
        }
    if kind == "Choose a lever":
        return {"lever": "reward", "reason": "Random steps never meet the reward."}
    if kind == "Reflect on a trial":
        return {
            "sentence": "Steps to the right lead to the end.",
            "keep_skill": False,
            "skill_description": "",
        }
    if kind == "Read a learning curve":
        return {"seen": "It is level.", "state": "converged", "keep_training": False}
    raise AssertionError(f"nobody wrote an answer to {kind!r}")


def _text(asked: Asked) -> str:
    return "\n".join(text for _, text in asked.turns)


def lab(settings: Mapping[str, Any], model: str, **changes: Any) -> Experimenter:
    """A small run's laboratory, planned by ``model``."""
    given = {"budget_steps": 12_000, "success_test": "off", "planner": "llm", "model": model}
    return Experimenter(ENV, **{**settings, **given, **changes})
