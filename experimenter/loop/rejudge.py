"""The frozen judge on a policy that is kept somewhere: asked by a person, outside any run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experimenter import plugins
from experimenter.config import Settings
from experimenter.contracts import Job, SkillLibrary
from experimenter.envs.records import EnvCard
from experimenter.errors import NotFound, UsageError
from experimenter.identity import seeds
from experimenter.loop.preparation import look_at, one_job
from experimenter.policies.policy import DESCRIPTION, stored_hash
from experimenter.records import EnvSpec, Evaluation, JudgeSpec, Skill, Training
from experimenter.workspace.records import LATEST, FoundTrial
from experimenter.workspace.store import Workspace

__all__ = ["KeptPolicy", "judge_policy", "judged", "kept_policy"]


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy's folder and hash; where it was trained and what judges there, as far as its keeper knows."""

    folder: Path
    hash: str
    environment: EnvSpec | None = None
    judge: JudgeSpec | None = None


def judge_policy(
    root: Path,
    what: str | Path,
    env_id: str | None,
    episodes: int,
    seed: int,
    judge: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Runs the frozen judge on what ``kept_policy`` finds, in the environment ``env_id``, or where it was trained.

    Without ``kwargs``, its own environment's id means its own parameters. The held-out seeds derive from ``seed`` with
    the role ``confirm_eval``. Raises NotFound, UsageError, EnvironmentFault.
    """
    if episodes < 1:
        raise UsageError("The number of episodes must be at least 1.", "Try --episodes 20.")
    with kept_policy(root, what) as kept:
        place = _place(kept, what, env_id, judge, kwargs)
        return judged(kept.folder, kept.hash, *place, seeds(seed, "confirm_eval", episodes))


def judged(
    folder: Path, policy_hash: str, spec: EnvSpec, judge: JudgeSpec, held_out: Sequence[int]
) -> Evaluation:
    """The frozen judge on one stored policy, in a process of its own. Raises EnvironmentFault, WorkspaceError."""
    payload = {
        "policy_folder": str(folder.absolute()),
        "policy_hash": policy_hash,
        "environment": spec.model_dump(mode="json"),
        "seeds": list(held_out),
        "judge": judge.model_dump(mode="json"),
        "mode": None,
    }
    return Evaluation.model_validate(one_job("judge", Job(id="judge", kind="judge", payload=payload)).value)


@contextmanager
def kept_policy(root: Path, what: str | Path) -> Iterator[KeptPolicy]:
    """The policy that is meant by a skill's name, ``RUN/TRIAL``, a run (its confirmed winner), or a path.

    A path leads to an exported skill (folder or zip), or to a training's folder; what it holds is verified, and an
    exported skill is there only as long as the block. Raises NotFound, UsageError, WorkspaceError.
    """
    if isinstance(what, Path):
        with _of_path(what.expanduser()) as found:
            yield found
    else:
        yield _of_name(root, what)


def _place(
    kept: KeptPolicy,
    what: str | Path,
    env_id: str | None,
    judge: str | None,
    kwargs: Mapping[str, Any] | None,
) -> tuple[EnvSpec, JudgeSpec]:
    """Where to judge and by what: the policy's own where that is meant, else measured anew."""
    own = kept.environment
    if env_id is None and own is None:
        raise UsageError(f"Nobody knows where {what} was trained.", "Name the environment to judge it in.")
    mine = own is not None and env_id in (None, own.id) and (kwargs is None or dict(kwargs) == own.kwargs)
    if own is not None and mine and kept.judge is not None and judge is None:
        return own, kept.judge
    if own is not None and mine:
        env_id, kwargs = own.id, own.kwargs
    assert env_id is not None
    card = look_at(env_id, kwargs or {}, judge=judge, steps=Settings().card_steps, seed=0, silence=60.0)
    return card.spec, card.judge


@contextmanager
def _of_path(path: Path) -> Iterator[KeptPolicy]:
    with tempfile.TemporaryDirectory(prefix="experimenter-judge-") as aside:
        try:
            found = _of_skill(_library().unpack(path, Path(aside)), Path(aside))
        except (NotFound, UsageError):
            if not (path / DESCRIPTION).is_file():
                raise
            found = KeptPolicy(path, stored_hash(path))
        yield found


def _of_name(root: Path, what: str) -> KeptPolicy:
    library = _library()
    if what in library.names(root):
        return _of_skill(library.load(what, root)[0], root)
    with Workspace.open(root, create=False) as workspace:
        row = next((item for item in workspace.skills() if item.name == what), None)
        return _of_skill(row, root) if row is not None else _of_trial(workspace, what)


def _of_skill(skill: Skill, root: Path) -> KeptPolicy:
    return KeptPolicy(
        root.absolute() / skill.policy.path, skill.policy.hash, skill.environment, skill.judge_spec
    )


def _of_trial(workspace: Workspace, what: str) -> KeptPolicy:
    found = workspace.locate_trial(_trial_name(workspace, what))
    training = _confirmed_training(workspace, found)
    if training is None or training.policy is None:
        raise UsageError(f"{what} has no kept policy.", f"See: experimenter show {found.run}")
    card = EnvCard.model_validate(workspace.document(found.run, "card"))
    return KeptPolicy(workspace.root / training.policy.path, training.policy.hash, card.spec, card.judge)


def _trial_name(workspace: Workspace, what: str) -> str:
    """``RUN/TRIAL`` of a run's confirmed winner; other words are a trial's already."""
    if what != LATEST and what not in workspace.run_names():
        return what
    run = workspace.run(what).id
    winner = workspace.document(run, "winner")
    if winner is None:
        raise UsageError(
            f"The run {run} has no confirmed winner.", f"Name one of its trials, as in {run}/t0."
        )
    return f"{run}/{winner['trial']}"


def _confirmed_training(workspace: Workspace, found: FoundTrial) -> Training | None:
    """The first confirmation of the trial where it is the confirmed one, else the search's own training."""
    winner, arm = workspace.document(found.run, "winner"), workspace.document(found.run, "arm:winner")
    if winner and arm and winner["trial"] == found.trial.id:
        trainings = [Training.model_validate(workspace.step(step)) for step in arm["trainings"]]
        return next((training for training in trainings if training.policy is not None), None)
    return found.trial.winner.training if found.trial.winner else None


def _library() -> SkillLibrary:
    library: SkillLibrary = plugins.load("skills", "folders")()
    return library
