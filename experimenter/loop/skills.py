"""What a person does with skills outside any run: look, judge, play, carry out and in, remove.

A skill lives twice: its folder can be loaded, its row in the workspace is what memory finds. Here the two are kept in
step. Before a skill is judged, its environment is asked whether it still does what it did.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experimenter import plugins
from experimenter.contracts import Job, SkillLibrary
from experimenter.envs.fingerprint import Change, changes
from experimenter.errors import EnvironmentFault, ExperimenterError, NotFound, UsageError, did_you_mean
from experimenter.execution.observing import ObserveOrder, read_observations
from experimenter.execution.playing import Played, PlayOrder
from experimenter.identity import seeds
from experimenter.judge.statistics import interval, proportion
from experimenter.knowledge import skill_weight
from experimenter.loop.certify import fingerprint_of
from experimenter.loop.preparation import one_job
from experimenter.loop.rejudge import judged
from experimenter.records import Evaluation, Fingerprint, JudgeSpec, Skill
from experimenter.workspace.store import FILE, Workspace

__all__ = [
    "FORMS",
    "Judged",
    "Shelf",
    "check",
    "convert",
    "examine",
    "form_of",
    "judge_skill",
    "library",
    "load",
    "pack",
    "play",
    "recertify",
    "remove",
    "shelf",
    "unpack",
]

OBSERVATIONS: Final = 1_000
FORMS: Final = ("folder", "zip", "onnx", "torchscript")
_FORM_OF: Final = {".zip": "zip", ".onnx": "onnx", ".pt": "torchscript", ".ts": "torchscript"}


@dataclass(frozen=True, slots=True)
class Shelf:
    """Every skill of a workspace that can be loaded, and for the others, what is wrong with them."""

    skills: tuple[Skill, ...]
    damaged: dict[str, ExperimenterError]


@dataclass(frozen=True, slots=True)
class Judged:
    """A skill, what the judge found, and what changed about its environment since it was certified."""

    skill: Skill
    evaluation: Evaluation
    changes: tuple[Change, ...]


def library() -> SkillLibrary:
    """The skill library that is installed. Raises NotFound."""
    made: SkillLibrary = plugins.load("skills", "folders")()
    return made


def shelf(root: Path) -> Shelf:
    """What is kept under ``root``, the most reliable first."""
    found, damaged = list[Skill](), dict[str, ExperimenterError]()
    books = library()
    for name in books.names(root):
        try:
            found.append(books.load(name, root)[0])
        except ExperimenterError as error:
            damaged[name] = error
    return Shelf(tuple(sorted(found, key=lambda skill: (-skill_weight(skill), skill.name))), damaged)


def load(name: str, root: Path) -> tuple[Skill, Path]:
    """The skill and its folder. Raises NotFound (with did-you-mean), UsageError, WorkspaceError."""
    return library().load(name, root)


def examine(skill: Skill, now: Fingerprint | None = None) -> tuple[Change, ...]:
    """What changed about the skill's environment; empty for a skill that was kept without a fingerprint."""
    if skill.fingerprint is None:
        return ()
    return changes(skill.fingerprint, now or fingerprint_of(skill.environment))


def check(skill: Skill, found: Sequence[Change]) -> None:
    """Passes when nothing but versions changed. Raises EnvironmentFault with the reason, and what would help."""
    grave = [change for change in found if change.part != "version"]
    if not grave:
        return
    words = "; ".join(f"{change.part}: {change.words}" for change in grave)
    fits = all(change.part != "spaces" for change in grave)
    hint = (
        f"Judge and certify it anew with: experimenter skills judge {skill.name} --recertify"
        if fits
        else "The policy cannot act there. Train another, or install the versions of its certificate."
    )
    raise EnvironmentFault(
        f"{skill.environment.id} is not what it was when {skill.name} was certified ({words}).", hint
    )


def judge_skill(root: Path, name: str, episodes: int, seed: int) -> Judged:
    """The frozen judge on a skill, after its environment was asked. Raises what ``load`` and ``check`` raise."""
    skill, folder = load(name, root)
    found = examine(skill)
    check(skill, found)
    held_out = seeds(seed, "confirm_eval", episodes)
    return Judged(skill, _judge(skill, folder, held_out), found)


def recertify(root: Path, name: str, episodes: int, seed: int) -> Judged:
    """Judges on episodes that the skill never met, and writes a new certificate that says so.

    It speaks of this one policy only: what the old one said about the design was measured elsewhere. Raises
    EnvironmentFault when the spaces changed, so that the policy cannot act at all.
    """
    skill, folder = load(name, root)
    now = fingerprint_of(skill.environment)
    found = examine(skill, now)
    check(skill, [change for change in found if change.part == "spaces"])
    known = set(skill.episodes.seeds if skill.episodes else ())
    fresh = [s for s in seeds(seed, "confirm_eval", episodes + len(known), "recertify") if s not in known]
    evaluation = _judge(skill, folder, fresh[:episodes])
    newer = skill.model_copy(update=_newer(skill, now, found, evaluation))
    library().replace(newer, root)
    if _has_database(root):
        with Workspace.open(root, create=False) as workspace:
            workspace.put_skill(newer)
    return Judged(newer, evaluation, found)


def _newer(skill: Skill, now: Fingerprint, found: Sequence[Change], evaluation: Evaluation) -> dict[str, Any]:
    told = "; ".join(f"{change.part}: {change.words}" for change in found) or "nothing had changed"
    rate, count = evaluation.success_rate, len(evaluation.seeds)
    words = (
        f"this policy alone was judged again on {count} fresh held-out episodes ({told}); "
        "the intervals over training seeds of the first certificate no longer apply"
    )
    return {
        "environment_hash": now.hash,
        "fingerprint": now,
        "score": interval([evaluation.mean], 0),
        "success_rate": rate,
        "success": None if rate is None else proportion(round(rate * count), count),
        "episodes": evaluation,
        "versions": {**skill.versions, **now.versions},
        "random_score": None,
        "recertified": words,
    }


def _judge(skill: Skill, folder: Path, held_out: Sequence[int]) -> Evaluation:
    if not held_out:
        raise UsageError("The number of episodes must be at least 1.", "Try --episodes 20.")
    return judged(folder, skill.policy.hash, skill.environment, skill.judge_spec or JudgeSpec(), held_out)


def play(
    root: Path, name: str, seed: int, folder: Path | None, *, size: int = 480, frames: int = 400
) -> Played:
    """One episode in a worker; its film is left in ``folder``, without one it is told in words."""
    skill, place = load(name, root)
    order = PlayOrder(
        policy_folder=str(place.absolute()),
        policy_hash=skill.policy.hash,
        environment=skill.environment,
        seed=seed,
        judge=skill.judge_spec,
        folder=None if folder is None else str(folder),
        size=size,
        max_frames=frames,
    )
    job = Job(id="play", kind="play", payload=order.model_dump(mode="json"))
    return Played.model_validate(one_job("film", job).value)


def form_of(destination: Path, form: str | None) -> str:
    """What is to be written at ``destination``: ``form``, or what its ending says. Raises UsageError."""
    if form is None:
        return _FORM_OF.get(destination.suffix.lower(), "folder")
    if form not in FORMS:
        hint = did_you_mean(form, FORMS) or f"Choose one of {', '.join(FORMS)}."
        raise UsageError(f"There is no form of export named {form[:40]!r}.", hint)
    if form == "zip" and destination.suffix.lower() != ".zip":
        raise UsageError("A zip file's name must end in .zip.", f"Try {destination}.zip")
    return form


def pack(root: Path, name: str, destination: Path) -> Path:
    """Copies a skill out, as a folder or a zip file. Raises UsageError where something is there already."""
    return library().pack(name, root, destination)


def unpack(root: Path, source: Path, name: str | None = None) -> Skill:
    """Takes a skill in and makes it known to the workspace, which is made where there is none."""
    skill = library().unpack(source, root, name)
    with Workspace.open(root) as workspace:
        workspace.put_skill(skill)
    return skill


def convert(root: Path, name: str, form: str, destination: Path) -> dict[str, Any]:
    """Writes ``onnx`` or ``torchscript``, checked on observations met in a worker and on noise."""
    if destination.exists():
        raise UsageError(f"{destination} is there already.", "Choose another place; nothing is overwritten.")
    skill, folder = load(name, root)
    with tempfile.TemporaryDirectory(prefix="experimenter-export-") as place:
        order = ObserveOrder(
            policy_folder=str(folder.absolute()),
            policy_hash=skill.policy.hash,
            environment=skill.environment,
            count=OBSERVATIONS,
            seed=0,
            folder=place,
        )
        one_job("film", Job(id="observe", kind="observe", payload=order.model_dump(mode="json")))
        return library().convert(name, root, form, destination, read_observations(Path(place)))


def remove(root: Path, name: str) -> None:
    """Removes the folder and what the workspace knows of it. Raises NotFound when neither is there."""
    try:
        library().remove(name, root)
    except NotFound:
        if not _forget(root, name):
            raise
    else:
        _forget(root, name)


def _forget(root: Path, name: str) -> bool:
    if not _has_database(root):
        return False
    with Workspace.open(root, create=False) as workspace:
        if all(skill.name != name for skill in workspace.skills()):
            return False
        workspace.forget_skill(name)
    return True


def _has_database(root: Path) -> bool:
    return (root / FILE).exists()
