"""Models that sit the examination: one that is always right, one that never is, and what they say word by word."""

from __future__ import annotations

import json

from experimenter.planners.llm.exam import curves, trajectories
from experimenter.planners.llm.planner import form_of
from experimenter.planners.llm.prompting import render

IDEAS = json.dumps(
    {"ideas": [{"name": "Native and more", "idea": "what the environment pays, and a little"}]}
)
CHOICE = json.dumps({"choices": [{"learning_rate": 1.23e-4}]})
RUNS = """```python
def reward(t):
    return {"native": t.native_reward, "brief": np.exp(-0.01 * t.elapsed)}
```"""
FAILS = '```python\ndef reward(t):\n    return {"far": 1.0 / (t.elapsed - t.elapsed)}\n```'
"""The static check has nothing against it; on the first transitions it divides by zero."""


def truths():
    """The right reply to every curve and every pair, by the words of the prompt."""
    told = {}
    for one in curves.labelled_curves():
        reply = {"seen": "It is plain to see.", "state": one.truth, "keep_training": one.truth == "improving"}
        told[prompt_of(one.question)] = json.dumps(reply)
    for pair in trajectories.pairs():
        order = [pair.better, "b" if pair.better == "a" else "a"]
        told[prompt_of(pair.question)] = json.dumps({"reason": "It went further.", "order": order})
    return told


def prompt_of(question):
    form = form_of(question)
    return render(question, form.schema if form else None).messages[0].text


def right(turns, told):
    """What a model says that is always right. ``turns`` are the texts of the conversation, ``told`` are truths."""
    first = turns[0]
    if first in told:
        return told[first]
    if first.startswith("# Write rewards"):
        return IDEAS if len(turns) == 1 else RUNS
    return mixture(first) if first.startswith("# Design training environments") else CHOICE


def mixture(prompt):
    """Half of the training with every parameter changed that these environments have."""
    values = {"sutton_barto_reward": True, "g": 8.0, "size": 5}
    changes = {name: value for name, value in values.items() if f'"{name}"' in prompt}
    half = {"weight": 0.5, "changes": changes}
    return json.dumps({"mixtures": [{"reason": "easier", "target_weight": 0.5, "variants": [half]}]})
