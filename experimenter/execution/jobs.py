"""What workers can be asked to do, plain JSON in and out; the judge's job stands in ``experimenter.judge``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experimenter.rl.population import Ended

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


def vector_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Chooses how an environment is stepped in training. Raises UsageError where what is asked for cannot be."""
    from experimenter.envs.make import spec_for
    from experimenter.envs.vectors.choosing import choose_vector

    spec = spec_for(payload["id"], payload["kwargs"])
    cores, forced = payload["cores"], payload["forced"]
    choice = choose_vector(
        [spec], payload["num_envs"], forced=forced, cores=cores, alive=lambda: progress({})
    )
    return {"choice": choice.model_dump(mode="json")}


def train_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Trains one design with one seed, from its last chunk where there is one."""
    from experimenter.rl.training import TrainJob, train

    job = TrainJob.model_validate(payload["job"])
    return dict(train(job, progress).model_dump(mode="json"))


def population_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Trains several designs side by side; each one's result, or what it failed with, in their order."""
    from experimenter.rl.job import TrainJob
    from experimenter.rl.population import train_population

    jobs = [TrainJob.model_validate(job) for job in payload["jobs"]]
    ended = train_population(jobs, lambda step, data: progress({**data, "member": step}))
    return {"ends": [_member_end(one) for one in ended]}


def _member_end(ended: Ended) -> dict[str, Any]:
    if ended.training is not None:
        return {"id": ended.step, "ok": True, "value": ended.training.model_dump(mode="json")}
    assert ended.error is not None
    error = ended.error
    return {
        "id": ended.step, "ok": False, "error": type(error).__name__, "message": error.message, "hint": error.hint,
    }  # fmt: skip


def probe_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Checks one design before any training; raises what it fails with."""
    from experimenter.execution.probing import probe

    return dict(probe(payload, progress).model_dump(mode="json"))


def film_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Films one episode of a stored policy and puts GIF, first frame and note into the folder ``media``.

    Raises EnvironmentFault where the environment draws no pictures, WorkspaceError for a damaged policy.
    """
    from experimenter.execution.filming import FilmOrder, shoot

    return dict(shoot(FilmOrder.model_validate(payload), progress).model_dump(mode="json"))


def play_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Plays one episode of a stored policy for a person, as pictures or in words."""
    from experimenter.execution.playing import PlayOrder, play

    return dict(play(PlayOrder.model_validate(payload), progress).model_dump(mode="json"))


def fingerprint_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What an environment does, by a short probe. Raises NotFound or EnvironmentFault."""
    from experimenter.envs.fingerprint import fingerprint
    from experimenter.records import EnvSpec

    spec = EnvSpec.model_validate(payload["environment"])
    return dict(fingerprint(spec, lambda step: progress({"steps": step})).model_dump(mode="json"))


def observe_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Collects observations with which an exported policy is checked."""
    from experimenter.execution.observing import ObserveOrder, observe

    return observe(ObserveOrder.model_validate(payload), progress)


def record_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Plays a policy, and keeps what a success test reads of it."""
    from experimenter.execution.recording import RecordOrder, record

    return dict(record(RecordOrder.model_validate(payload), progress).model_dump(mode="json"))


def check_test_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Examines a success test, contained; a refusal is a result."""
    from experimenter.execution.examining import CheckOrder, check_test

    return dict(check_test(CheckOrder.model_validate(payload), progress).model_dump(mode="json"))


def apply_test_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Runs a frozen success test, contained, on a recording."""
    from experimenter.execution.examining import ApplyOrder, apply_test

    return dict(apply_test(ApplyOrder.model_validate(payload), progress).model_dump(mode="json"))
