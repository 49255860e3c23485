"""What a finished run leaves for the next one: a certified skill, and a lesson that carries the confirmed design.

Both are kept once, as one stored step. Nothing is kept of a winner that is no better than random actions.
"""

from __future__ import annotations

from experimenter import plugins
from experimenter.errors import ExperimenterError
from experimenter.events import NewEvent
from experimenter.identity import digest
from experimenter.loop.certify import Confirmed, certify, confirmed, fingerprint_of
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.lineage import replayed
from experimenter.loop.nodes.recall import recollections
from experimenter.records import Comparison, Design, Lesson, Skill

__all__ = ["keep"]


def keep(ctx: RunContext) -> None:
    """Keeps what the run's confirmed winner is worth, where memory is on; safe to repeat."""
    if ctx.settings.memory != "on" or ctx.parent is not None:
        return
    ctx.once("keep", 0, lambda: _keep(ctx), ctx.plan.epoch)


def _keep(ctx: RunContext) -> Outcome:
    found = _winner(ctx)
    if found is None:
        return _nothing("no winner was confirmed")
    if found.arm.interval.low <= ctx.card.random.return_mean:
        return _nothing("the winner's interval reaches down to what random actions score")
    lesson = _lesson(ctx, found)
    try:
        skill = _skill(ctx, found)
    except ExperimenterError as error:
        return _nothing(f"no skill was kept: {error}", lesson)
    data = {"skill": skill.name, "lesson": lesson.sentence, "words": skill.description}
    event = NewEvent(kind="skill.kept", data=data)
    return Outcome(value={"skill": skill.name}, events=(event,), skill=skill, lesson=lesson)


def _nothing(words: str, lesson: Lesson | None = None) -> Outcome:
    event = NewEvent(kind="note", data={"words": words})
    return Outcome(value={"skill": None}, events=(event,), lesson=lesson)


def _winner(ctx: RunContext) -> Confirmed | None:
    winner = ctx.workspace.document(ctx.run, "winner")
    trial = next((item for item in ctx.trials() if winner and item.id == winner["trial"]), None)
    if winner is None or trial is None or trial.winner is None:
        return None
    return confirmed(ctx, replayed(ctx, trial.winner.design).with_steps(int(winner["steps"])))


def _skill(ctx: RunContext, found: Confirmed) -> Skill:
    """Certified, and put into the library; the record that is returned points at the library's copy."""
    library = plugins.load("skills", "folders")()
    root = ctx.workspace.root
    known = {item.name: item for item in ctx.workspace.skills()}
    mine = next((item for item in known.values() if item.run == ctx.run), None)
    taken = {*known, *library.names(root)} - ({mine.name} if mine else set())
    skill = certify(
        found,
        fingerprint_of(ctx.card.spec, ctx.settings.silence_seconds),
        seed=ctx.seed,
        taken=taken,
        parents=_parents(ctx, found),
        versions=ctx.record.versions,
    )
    library.keep(skill, root / skill.policy.path, root)
    kept: Skill = library.load(skill.name, root)[0]
    return kept


def _parents(ctx: RunContext, found: Confirmed) -> tuple[str, ...]:
    """The skills whose policies the winner's search started from."""
    trial = next(item for item in ctx.trials() if item.id == found.trial)
    start = trial.winner.design.start if trial.winner else None
    skills = [skill for recalled in recollections(ctx) for skill in recalled.skills]
    return tuple(dict.fromkeys(s.name for s in skills if start is not None and s.policy.hash == start.hash))


def _lesson(ctx: RunContext, found: Confirmed) -> Lesson:
    score, design = found.arm.interval, found.design
    trial = next(item for item in ctx.trials() if item.id == found.trial)
    evidence = {"true_score": score.iqm, "steps": float(design.steps), "random": ctx.card.random.return_mean}
    if found.arm.success_rate is not None:
        evidence["success_rate"] = found.arm.success_rate
    sentence = f"On {ctx.card.spec.id}, {_what(design)} reached {score.iqm:.4g}" + (
        f" ({score.low:.4g} to {score.high:.4g}) over {score.seeds} fresh training seeds of {design.steps:,} steps"
    )
    return Lesson(
        id=digest([ctx.run, "confirmed", found.trial, ctx.plan.epoch]),
        sentence=f"{sentence}{_against(ctx)}.",
        environment=ctx.card.spec.id,
        lever=trial.lever,
        trials=(f"{ctx.run}/{trial.id}",),
        evidence=evidence,
        origin=ctx.planner.name,
        spec=ctx.card.spec,
        interval=score,
        design=design,
    )


def _what(design: Design) -> str:
    reward = design.phases[-1].reward
    words = "the native reward" if reward is None else f"the reward program {reward.name}"
    mixed = len({item.environment.hash for phase in design.phases for item in phase.environments}) > 1
    return words + (" on a mixture of environments" if mixed else "")


def _against(ctx: RunContext) -> str:
    stored = (
        ctx.workspace.document(ctx.run, "arm:native"),
        ctx.workspace.document(ctx.run, "comparison:native"),
    )
    if None in stored:
        return ""
    comparison = Comparison.model_validate(stored[1])
    return f"; against the native control: {comparison.label} ({comparison.difference:+.4g})"
