"""How ``experimenter skills`` shows a skill: its certificate as lines of text, its summary as a row, its judging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experimenter.report.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from experimenter.loop.skills import Judged
    from experimenter.records import Interval, Skill

__all__ = ["facts", "print_judged", "reads", "score_words", "success_words", "summary", "weight"]


def summary(skill: Skill) -> dict[str, Any]:
    """What a list of skills says of one, as JSON."""
    kept = {"name", "description", "environment", "score", "success_rate", "success", "judge", "run", "trial"}
    told = skill.model_dump(mode="json", include=kept)
    return {**told, "weight": weight(skill), "recertified": skill.recertified}


def score_words(found: Interval) -> str:
    """An interval of true scores: its middle with both bounds."""
    from experimenter.report.lines import number

    return f"{number(found.iqm)} [{number(found.low)}, {number(found.high)}]"


def success_words(skill: Skill) -> str:
    """The success rate, with its bounds where they are known."""
    from experimenter.report.lines import percent

    if skill.success is None:
        return percent(skill.success_rate)
    return f"{percent(skill.success_rate)} [{percent(skill.success.low)}, {percent(skill.success.high)}]"


def facts(skill: Skill) -> Iterator[tuple[str, str]]:
    """The certificate, line by line: what is told, and the words."""
    import json

    from experimenter.report.lines import number

    kwargs = json.dumps(skill.environment.kwargs, sort_keys=True)
    over = "one policy" if skill.recertified else f"{skill.score.seeds} training seeds"
    yield "environment", f"{skill.environment.id}" + ("" if kwargs == "{}" else f" with {kwargs}")
    yield "true score", f"{score_words(skill.score)} over {over}"
    yield "success", f"{success_words(skill)}"
    if skill.episodes is not None:
        yield (
            "this policy",
            f"mean {number(skill.episodes.mean)} on {len(skill.episodes.seeds)} held-out episodes",
        )
    yield "relied on", f"{weight(skill):.2f} (what memory weighs it by)"
    yield "judge", skill.judge
    for words in skill.preconditions:
        yield "needs", words
    yield "parents", ", ".join(skill.parents) or "none: trained from scratch"
    yield (
        "learned in",
        f"{skill.policy.lineage_steps:,} steps, run {skill.run or 'unknown'}, trial {skill.trial or '?'}",
    )
    if skill.recertified:
        yield "re-certified", skill.recertified
    yield (
        "versions",
        ", ".join(f"{name} {found}" for name, found in sorted(skill.versions.items())) or "unknown",
    )


def print_judged(found: Judged, recertified: bool) -> None:
    """Prints what the judge found on held-out episodes."""
    from experimenter.cli.console import screen
    from experimenter.report.lines import number, percent

    skill, evaluation = found.skill, found.evaluation
    scores = sorted(float(score) for score in evaluation.scores)
    out = screen()
    out.print(
        f"{skill.name} on {safe_text(skill.environment.id)}: mean true return {number(evaluation.mean)}",
        style="bold",
    )
    out.print(
        f"{len(scores)} episodes, from {number(scores[0])} to {number(scores[-1])}, acting by {evaluation.action_mode}"
    )
    out.print(f"success {percent(evaluation.success_rate)} · judge: {safe_text(evaluation.judge)}")
    if recertified:
        out.print("A new certificate is written; it says that it is one.")


def reads(what: str) -> str:
    """What an exported policy reads, in words."""
    if what == "observation":
        return "observations as the environment gives them, flattened"
    return "observations that the policy's pipeline encoded (see the file's metadata)"


def weight(skill: Skill) -> float:
    """What memory weighs the skill by, from 0 to 1."""
    from experimenter.knowledge import skill_weight

    return skill_weight(skill)
