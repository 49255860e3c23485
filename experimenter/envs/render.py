"""An environment card as plain text, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from experimenter.envs.records import EnvCard, Feature, Parameter
from experimenter.records import Json

__all__ = ["card_lines"]


def card_lines(card: EnvCard) -> str:
    """The card in lines of at most about 100 characters. Holds text of the environment: print it without markup."""
    return "\n".join(_lines(card))


def _lines(card: EnvCard) -> Iterator[str]:
    yield card.title
    yield from textwrap.wrap(card.summary, 98, initial_indent="  ", subsequent_indent="  ")
    yield ""
    yield f"Judge         {card.judge.words}"
    if card.reward_threshold is not None:
        yield f"Threshold     {card.reward_threshold:g} (a return that counts as solved)"
    if card.assumed_limit is not None:
        yield f"Episode       at most {card.assumed_limit} steps (cut there, because it declares no limit)"
    elif card.max_episode_steps is not None:
        yield f"Episode       at most {card.max_episode_steps} steps"
    meanings = f": {', '.join(card.action_meanings)}" if card.action_meanings else ""
    yield f"Actions       {card.action_kind.replace('_', ' ')}{meanings}"
    yield from _random(card)
    yield from _texts(card.observation_space)
    if card.left_out:
        yield f"Left out      {', '.join(card.left_out)} (always the same, or no numbers: no policy reads it)"
    if card.info_keys:
        yield f"Info keys     {', '.join(card.info_keys)}"
    yield from _parameters(card)
    yield ""
    yield f"Features ({len(card.features)})"
    yield from map(_feature, card.features)
    if not (card.has_docstring and card.has_source):
        lacking = [
            word for word, has in (("docstring", card.has_docstring), ("source", card.has_source)) if not has
        ]
        yield f"Read without its {' or '.join(lacking)}: names and ranges are measured."


def _random(card: EnvCard) -> Iterator[str]:
    met = card.random
    yield (
        f"Random        return {met.return_mean:.3g} ± {met.return_std:.2g} over {met.episodes} episodes of "
        f"{met.length_mean:.4g} steps; {met.steps_per_second:,.0f} steps/s"
    )
    yield (
        f"Rewards       {met.reward_min:.4g} to {met.reward_max:.4g}, mean {met.reward_mean:.3g}; "
        f"{met.nonzero_share:.1%} of steps not zero; {met.reward_distinct} distinct"
    )


def _texts(space: Json, name: str = "") -> Iterator[str]:
    """A line for each text of an observation space, from its JSON."""
    if space.get("type") == "Words":
        places = (word for _, word in space.get("places", ()))
        words = ", ".join(sorted({*space.get("words", ()), *places})) or "any words"
        yield f"Reads         {name or 'text'}: {words}"[:118]
    parts = space.get("spaces", {})
    for key, part in parts.items() if isinstance(parts, dict) else enumerate(parts):
        yield from _texts(part, f"{name}.{key}" if name else str(key))


def _parameters(card: EnvCard) -> Iterator[str]:
    if card.parameters:
        yield ""
        yield "Parameters"
        yield from map(_parameter, card.parameters)
    if card.fixed_parameters:
        yield f"Fixed         {', '.join(card.fixed_parameters)} (no range is known, or the spaces would change)"


def _parameter(parameter: Parameter) -> str:
    if parameter.type == "choice":
        allowed = ", ".join(map(str, parameter.choices))
    elif parameter.low is not None and parameter.high is not None:
        allowed = f"{parameter.low:g} to {parameter.high:g}"
    else:
        allowed = "true or false" if parameter.type == "bool" else "any"
    words = f"  {parameter.description}" if parameter.description else ""
    return f"  {parameter.name:<22} {parameter.type:<7} {allowed} (default {parameter.default}){words}"[:118]


def _feature(feature: Feature) -> str:
    unit = f" {feature.unit}" if feature.unit else ""
    note = "" if feature.possible else "  (nothing of the kind here)"
    measured = f"{feature.measured_low:.4g} to {feature.measured_high:.4g}{unit}"
    return f"  {feature.name:<28} {feature.kind:<11} {measured:<24} {feature.description}{note}".rstrip()
