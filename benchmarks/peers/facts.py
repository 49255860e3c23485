"""What a run knows about an environment before it trains in it, as plain JSON.

It is found in a process of its own, because some environments write warnings and files wherever they are built.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from peers.common import Task

__all__ = ["NoFacts", "facts_of", "informed", "program"]

BENCHMARKS = Path(__file__).resolve().parent.parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class NoFacts(Exception):
    """The environment could not be examined; says why."""


def informed(task: Task, *, chosen: bool) -> Task:
    """``task`` with all that is known about its environment; ``chosen`` also exchanges its settings and network for
    those that the engine itself would choose. Raises NoFacts."""
    facts = facts_of(task.env)
    known = {name: facts[name] for name in ("spec", "judge", "features", "usual_vector")}
    task = replace(task, **known)
    return replace(task, settings=facts["settings"], hidden=tuple(facts["hidden"])) if chosen else task


@lru_cache
def facts_of(env: str, forced: str = "auto") -> dict[str, Any]:
    """Raises NoFacts, also where the vector environment that is ``forced`` may not be used."""
    done = program("facts", env, forced)
    if done.returncode:
        raise NoFacts(f"{env} could not be examined: {' | '.join(done.stderr.strip().splitlines()[-3:])}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def program(name: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Runs ``peers.NAME`` in a fresh process, in an empty folder, with one thread."""
    paths = [str(BENCHMARKS), os.environ.get("PYTHONPATH", "")]
    environment = (
        os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    )
    command = [sys.executable, "-m", f"peers.{name}", *arguments]
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        return subprocess.run(
            command, input=given, capture_output=True, text=True, cwd=folder, env=environment
        )


def _examined(env: str, forced: str) -> dict[str, Any]:
    from experimenter.envs.card import extract_card
    from experimenter.envs.make import spec_for
    from experimenter.envs.vectors.choosing import choose_vector
    from experimenter.rl.defaults import default_hyperparameters, default_network

    card = extract_card(spec_for(env), judge=None)
    usual = choose_vector([card.spec], default_hyperparameters(card).num_envs, forced=forced).kind
    settings = default_hyperparameters(card, batched=usual == "native")
    return {
        "spec": card.spec.model_dump(mode="json"),
        "judge": card.judge.model_dump(mode="json"),
        "features": [feature.model_dump(mode="json") for feature in card.features],
        "settings": settings.model_dump(mode="json"),
        "usual_vector": usual,
        "hidden": default_network(card).hidden,
    }


if __name__ == "__main__":
    print(json.dumps(_examined(*sys.argv[1:])))
