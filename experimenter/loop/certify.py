"""Makes a skill out of a confirmed arm: one of its policies, with the evidence that stands behind the design.

The policy is chosen by its validation scores. Choosing it by the held-out scores would make the best of some lucky
numbers into a certificate; the held-out episodes only say how good the one that was chosen is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from experimenter.contracts import Job
from experimenter.envs.records import EnvCard
from experimenter.errors import UsageError
from experimenter.identity import valid_name
from experimenter.judge.statistics import interval
from experimenter.loop.context import RunContext
from experimenter.loop.preparation import one_job
from experimenter.records import (
    SKILL_NAME,
    Arm,
    Design,
    EnvSpec,
    Evaluation,
    Fingerprint,
    Skill,
    Training,
    TrueReturn,
)

__all__ = ["Confirmed", "certify", "confirmed", "fingerprint_of", "skill_name"]

_LONGEST_STEM = 48
_NOWHERE = float("-inf")


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A finished confirmation as its run stored it. ``design`` is the whole lineage from scratch.

    ``evaluations`` are the judge's on the held-out episodes, by the policy's hash.
    """

    run: str
    trial: str
    wish: str
    card: EnvCard
    design: Design
    arm: Arm
    trainings: tuple[Training, ...]
    evaluations: Mapping[str, Evaluation]


def confirmed(ctx: RunContext, design: Design | None = None) -> Confirmed | None:
    """The run's confirmed winner, or ``None`` where there is none or all of its trainings failed.

    ``design`` is what the arm trained, where that is not the trial's own: a warm start's lineage from scratch.
    """
    stored, winner = ctx.workspace.document(ctx.run, "arm:winner"), ctx.workspace.document(ctx.run, "winner")
    if stored is None or winner is None:
        return None
    arm = Arm.model_validate(stored)
    trainings = tuple(Training.model_validate(ctx.workspace.step(step)) for step in arm.trainings)
    trial = next(item for item in ctx.trials() if item.id == winner["trial"])
    if trial.winner is None or not any(training.policy for training in trainings):
        return None
    evaluations = (Evaluation.model_validate(ctx.workspace.step(step)) for step in arm.evaluations)
    return Confirmed(
        run=ctx.run,
        trial=trial.id,
        wish=ctx.record.goal.wish,
        card=ctx.card,
        design=design or trial.winner.design.with_steps(int(winner["steps"])),
        arm=arm,
        trainings=trainings,
        evaluations={evaluation.policy: evaluation for evaluation in evaluations},
    )


def fingerprint_of(spec: EnvSpec, silence: float = 60.0) -> Fingerprint:
    """What the environment does, probed in a process of its own. Raises NotFound or EnvironmentFault."""
    payload = {"environment": spec.model_dump(mode="json")}
    job = Job(id="fingerprint", kind="fingerprint", payload=payload, silence=silence)
    return Fingerprint.model_validate(one_job("card", job).value)


def certify(
    found: Confirmed,
    fingerprint: Fingerprint,
    *,
    seed: int,
    taken: Iterable[str] = (),
    parents: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
) -> Skill:
    """The certificate. Its ``policy.path`` is still the training's folder, from which a library copies.

    ``seed`` fixes the bootstrap of the success interval; ``taken`` are names already given; ``parents`` are skills
    that the policy was started from; ``versions`` the releases that it was trained with. Raises UsageError when no
    training of the arm left a policy.
    """
    chosen = _chosen(found.trainings)
    assert chosen.policy is not None
    card, arm = found.card, found.arm
    return Skill(
        name=skill_name(found.wish, card.spec.id, taken),
        description=_description(found),
        environment=card.spec,
        environment_hash=fingerprint.hash,
        policy=chosen.policy,
        judge=card.judge.words,
        score=arm.interval,
        success_rate=arm.success_rate,
        reward=found.design.phases[-1].reward,
        run=found.run,
        trial=found.trial,
        design=found.design,
        success=interval(arm.success_rates, seed) if arm.success_rates else None,
        judge_spec=card.judge,
        episodes=found.evaluations.get(chosen.policy.hash),
        parents=tuple(parents),
        preconditions=_preconditions(found),
        versions={**fingerprint.versions, **(versions or {})},
        fingerprint=fingerprint,
        random_score=TrueReturn(card.random.return_mean) if card.random.episodes else None,
    )


def skill_name(wish: str, env_id: str, taken: Iterable[str] = ()) -> str:
    """A name that says what for and where, such as ``balance-the-pole-cartpole``, distinct from those ``taken``."""
    place = re.sub(r"-v\d+$", "", env_id.rpartition(":")[2])
    words = [word for word in _slug(wish).split("-") if word]
    room = _LONGEST_STEM - len(_slug(place)) - 1
    while len("-".join(words)) > max(0, room):
        words.pop()
    stem = _slug("-".join([*words, place]))[:_LONGEST_STEM].strip("-")
    stem = stem if valid_name(stem, SKILL_NAME) else f"skill-{stem}".strip("-")
    known, name, number = set(taken), stem, 2
    while name in known:
        name, number = f"{stem}-{number}", number + 1
    return name


def _slug(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _chosen(trainings: Sequence[Training]) -> Training:
    """The training whose best checkpoint scored highest on validation episodes; the first of equals."""
    kept = [training for training in trainings if training.policy is not None]
    if not kept:
        raise UsageError(
            "No training of the confirmed arm left a policy, so there is no skill to keep.",
            "See what failed with: experimenter show RUN.",
        )
    return max(kept, key=_validated)


def _validated(training: Training) -> tuple[float, float]:
    scores = [
        (float(point.true_return), point.success_rate or 0.0)
        for point in training.curve
        if point.true_return is not None
    ]
    return max(scores, default=(_NOWHERE, 0.0))


def _description(found: Confirmed) -> str:
    score, rate = found.arm.interval, found.arm.success_rate
    with_success = "" if rate is None else f", success rate {rate:.0%}"
    title = f" ({found.card.title})" if found.card.title not in ("", found.card.spec.id) else ""
    wish = " ".join(found.wish.split()).rstrip(".!?")[:300]
    return (
        f"{wish[:1].upper()}{wish[1:]}. A trained policy for {found.card.spec.id}{title}: true score "
        f"{score.iqm:.4g} ({score.low:.4g} to {score.high:.4g}) over {score.seeds} training seeds{with_success}."
    )


def _preconditions(found: Confirmed) -> tuple[str, ...]:
    """What must hold before the policy may be used, in words for a person or another agent."""
    card = found.card
    kwargs = ", ".join(f"{name}={value!r}" for name, value in sorted(card.spec.kwargs.items()))
    told = [
        f"the environment is {card.spec.id}" + (f" with {kwargs}" if kwargs else ""),
        "its observation and action spaces are those of the policy",
    ]
    if card.max_episode_steps is not None:
        told.append(f"an episode lasts at most {card.max_episode_steps} steps")
    return tuple(told)
