"""What workers can be asked to do, plain JSON in and out; the judge's job stands in ``experimenter.judge``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Progress = Callable[[dict[str, Any]], None]


def card_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Extracts an environment card. Raises NotFound or EnvironmentFault."""
    from experimenter.envs.card import extract_card
    from experimenter.envs.make import spec_for

    spec = spec_for(payload["id"], payload["kwargs"])
    card = extract_card(
        spec, judge=payload["judge"], steps=payload["steps"], seed=payload["seed"], progress=progress
    )
    return {"card": card.model_dump(mode="json")}


def train_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Trains one design with one seed, from its last chunk where there is one."""
    from experimenter.rl.training import TrainJob, train

    job = TrainJob.model_validate(payload["job"])
    return dict(train(job, progress).model_dump(mode="json"))


def probe_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Checks one design before any training; raises what it fails with."""
    from experimenter.execution.probing import probe

    return dict(probe(payload, progress).model_dump(mode="json"))
