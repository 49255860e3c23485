"""Records in words: what an environment is, what a curve did, what each fault means. Fixed sentences, no model asked.

Small models read sentences better than figures, and the names of failures are the strongest single lever that is known
for rewards (arXiv 2605.28918), so every diagnosis comes with its meaning and with what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from experimenter.envs.records import EnvCard, Feature, Parameter
from experimenter.identity import canonical_json
from experimenter.planners.llm.quoting import inline, quoted
from experimenter.planners.search.reading import CardKind, card_kind
from experimenter.records import CurvePoint

__all__ = ["FAULTS", "KINDS", "card_words", "curve_words", "number"]

MOST_FEATURES: Final = 60
MOST_PARAMETERS: Final = 40
MOST_POINTS: Final = 30
_SUMMARY: Final = 2_500
_SPACE: Final = 300

FAULTS: Final[dict[str, str]] = {
    "dead component": "it never paid anything: rewrite it so that random behaviour sometimes meets it, or drop it.",
    "constant component": "it paid the same always and so teaches nothing: make it depend on what the agent changes.",
    "dominated component": "it is lost beside the others: raise its weight, lower theirs, or drop it.",
    "flooding": "it can be collected for ever and outweighs the goal: pay it once, pay its gain, or scale it far down.",
    "plateau": "learning has stopped short: change the idea, explore more, or make the next step reachable.",
    "collapse": "what was learned was lost again: take smaller steps (learning rate, epochs, clipping).",
    "reward hacking": "the shaped return rose and the true one did not: remove what can be earned without the task.",
    "sparse beyond reach": "the reward was never met by chance: pay for steps on the way, or begin nearer to the goal.",
    "dormant units": "much of the network has died: lower the learning rate, or normalise what it sees.",
    "training failed": "it did not run to its end: read the error before anything else.",
    "not checked": "a rule could not be applied: nothing follows from it.",
    "method finding": "a method that was used reports this.",
}
"""What each name of ``records.Fault`` means, and what to do."""

KINDS: Final[dict[CardKind, str]] = {
    "sparse flags": "Random actions hardly ever meet a reward; flags mark steps on the way.",
    "sparse": "Random actions hardly ever meet a reward.",
    "flat cost": "Every step costs the same until the episode ends, so that nothing tells good from bad on the way.",
    "survival": "Every step pays, and a failure ends the episode: it lasts as long as the agent stays alive.",
    "dense continuous": "Every step pays something, and actions are continuous.",
    "dense": "Every step pays something, and actions are discrete.",
}


def number(value: float | None) -> str:
    return "unknown" if value is None else f"{value + 0.0:.4g}"


def card_words(card: EnvCard, *, hidden: bool = False) -> str:
    """What is known of an environment. Without its reward, threshold and judge where those are ``hidden``.

    Holds what the environment's author wrote, so it is only ever quoted; the documentation is quoted once more, so that
    it cannot pass for what was measured. Nothing volatile: no speed.
    """
    parts = [
        f"Environment: {inline(card.spec.id)}{_settings(card.spec.kwargs)}",
        *([f"Title: {inline(card.title)}"] if card.title not in ("", card.spec.id) else []),
        *([f"Its author writes:\n{quoted(card.summary, _SUMMARY)}"] if card.summary else []),
        f"Actions ({card.action_kind}): {inline(canonical_json(card.action_space), _SPACE)}",
        *([f"Meanings of actions: {_meanings(card.action_meanings)}"] if card.action_meanings else []),
        f"Observations: {inline(canonical_json(card.observation_space), _SPACE)}",
        _length(card),
        *([] if hidden else _rewards(card)),
        *_features(card.features),
        *_parameters(card.parameters),
    ]
    return "\n".join(parts)


def _settings(kwargs: dict[str, Any]) -> str:
    return f" with {inline(canonical_json(kwargs), _SPACE)}" if kwargs else ""


def _meanings(meanings: Sequence[str]) -> str:
    return inline(", ".join(f"{i} {inline(word, 40)}" for i, word in enumerate(meanings)), 600)


def _length(card: EnvCard) -> str:
    met = card.random
    limit = f"at most {card.max_episode_steps} steps" if card.max_episode_steps else "no declared limit"
    return (
        f"Episodes: {limit}; with random actions {number(met.length_mean)} steps on average,"
        f" {met.terminated_share:.0%} of them ended by the environment itself."
    )


def _rewards(card: EnvCard) -> list[str]:
    met = card.random
    lines = [
        f"Native reward with random actions, over {met.steps:,} steps: {number(met.reward_min)} to"
        f" {number(met.reward_max)} a step, other than zero on {met.nonzero_share:.1%} of the steps;"
        f" return {number(met.return_mean)} ± {number(met.return_std)} an episode.",
        f"In short: {KINDS[card_kind(card)]}",
        f"Success: {inline(card.judge.words, 300)}",
    ]
    if card.reward_threshold is not None:
        lines.append(f"Counted as solved at a true return of {number(card.reward_threshold)}.")
    return lines


def _features(features: Sequence[Feature]) -> Iterable[str]:
    """A line for each; those that nothing in this world can change are only named."""
    alive = [one for one in features if one.possible]
    still = [inline(one.name, 60) for one in features if not one.possible]
    if alive:
        yield "Features, as t.now.NAME and t.next.NAME:"
    for one in alive[:MOST_FEATURES]:
        unit = f", {inline(one.unit, 20)}" if one.unit else ""
        about = f": {inline(one.description, 160)}" if one.description else ""
        if one.source.rule == "ever":
            about = f": one once {inline(one.source.of, 60)} was up within the episode"
        met = f"random actions met {number(one.measured_low)} to {number(one.measured_high)}"
        yield f"- {inline(one.name, 60)} ({one.kind}{unit}){about}; {_range(one)} {met}"
    if len(alive) > MOST_FEATURES:
        yield f"- and {len(alive) - MOST_FEATURES} more, which are left out here"
    if still:
        yield f"Features that nothing here can change: {inline(', '.join(still), 800)}"


def _range(one: Feature) -> str:
    declared = one.low is not None and one.high is not None
    return f"{number(one.low)} to {number(one.high)};" if declared else "no declared range;"


def _parameters(parameters: Sequence[Parameter]) -> Iterable[str]:
    if not parameters:
        return
    yield "Parameters that a configuration may set:"
    for one in parameters[:MOST_PARAMETERS]:
        about = f": {inline(one.description, 160)}" if one.description else ""
        default = inline(canonical_json(one.default), 60)
        yield f"- {inline(one.name, 80)} ({one.type}, {_choices(one)}, default {default}){about}"
    if len(parameters) > MOST_PARAMETERS:
        yield f"- and {len(parameters) - MOST_PARAMETERS} more, which are left out here"


def _choices(one: Parameter) -> str:
    if one.choices:
        return f"one of {inline(', '.join(map(str, one.choices)), 200)}"
    if one.low is not None or one.high is not None:
        return f"{number(one.low)} to {number(one.high)}"
    return "true or false" if one.type == "bool" else "any"


def curve_words(points: Sequence[CurvePoint]) -> str:
    """One line for each of at most thirty points, evenly chosen, the last always among them."""
    count = len(points)
    chosen = points
    if count > MOST_POINTS:
        chosen = [points[round(i * (count - 1) / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]
    return "\n".join(_point(point) for point in chosen)


def _point(point: CurvePoint) -> str:
    parts = [f"at {point.steps:,} steps: true return {number(point.true_return)}"]
    if point.success_rate is not None:
        parts.append(f"success {point.success_rate:.0%}")
    if point.shaped_return is not None:
        parts.append(f"shaped return {number(point.shaped_return)}")
    if point.entropy:
        parts.append(f"entropy {number(point.entropy)}")
    return ", ".join(parts)
