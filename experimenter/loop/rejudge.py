"""The frozen judge on a policy that some run kept: asked by a person, outside any run."""

from __future__ import annotations

from pathlib import Path

from experimenter.config import Settings
from experimenter.contracts import Job
from experimenter.envs.records import EnvCard
from experimenter.errors import UsageError
from experimenter.identity import seeds
from experimenter.loop.preparation import look_at, one_job
from experimenter.records import Evaluation, PolicyRef, Training
from experimenter.workspace.records import FoundTrial
from experimenter.workspace.store import Workspace


def judge_policy(
    root: Path, what: str, env_id: str, episodes: int, seed: int, judge: str | None = None
) -> Evaluation:
    """Runs the frozen judge on a kept policy: a trial's winner (``RUN/TRIAL``), or a skill by name.

    The held-out seeds derive from ``seed`` with the role ``confirm_eval``. Raises NotFound, EnvironmentFault.
    """
    if episodes < 1:
        raise UsageError("The number of episodes must be at least 1.", "Try --episodes 20.")
    with Workspace.open(root, create=False) as workspace:
        policy, card = _find_policy(workspace, what)
    if card is None or card.spec.id != env_id:
        card = look_at(env_id, {}, judge=judge, steps=Settings().card_steps, seed=0, silence=60.0)
    payload = {
        "policy_folder": str(root.absolute() / policy.path),
        "policy_hash": policy.hash,
        "environment": card.spec.model_dump(mode="json"),
        "seeds": list(seeds(seed, "confirm_eval", episodes)),
        "judge": card.judge.model_dump(mode="json"),
        "mode": None,
    }
    return Evaluation.model_validate(one_job("judge", Job(id="judge", kind="judge", payload=payload)).value)


def _find_policy(workspace: Workspace, what: str) -> tuple[PolicyRef, EnvCard | None]:
    """The policy, and the card of the run that made it: its environment and judge are meant when its id is given."""
    skill = next((item for item in workspace.skills() if item.name == what), None)
    if skill is not None:
        return skill.policy, None
    found = workspace.locate_trial(what)
    training = _confirmed_training(workspace, found)
    if training is None or training.policy is None:
        raise UsageError(f"{what} has no kept policy.", f"See: experimenter show {found.run}")
    return training.policy, EnvCard.model_validate(workspace.document(found.run, "card"))


def _confirmed_training(workspace: Workspace, found: FoundTrial) -> Training | None:
    """The first confirmation of the trial where it is the confirmed one, else the search's own training."""
    winner, arm = workspace.document(found.run, "winner"), workspace.document(found.run, "arm:winner")
    if winner and arm and winner["trial"] == found.trial.id:
        trainings = [Training.model_validate(workspace.step(step)) for step in arm["trainings"]]
        return next((training for training in trainings if training.policy is not None), None)
    return found.trial.winner.training if found.trial.winner else None
