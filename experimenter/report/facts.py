"""What the environment card says, as names and words; the command line and the report show the same."""

from __future__ import annotations

from experimenter.envs.records import EnvCard
from experimenter.records import Json
from experimenter.report.lines import number, percent

__all__ = ["card_facts", "space_words"]


def card_facts(card: EnvCard) -> list[tuple[str, str]]:
    """Spaces, rewards met at random, episode lengths, judge, and what was left out."""
    met = card.random
    rewards = f"{number(met.reward_min)} to {number(met.reward_max)}, mean {number(met.reward_mean)}"
    sparse = f", not zero in {percent(met.nonzero_share)} of steps" if met.nonzero_share < 1 else ""
    actions = space_words(card.action_space)
    if card.action_meanings:
        actions += f": {', '.join(card.action_meanings)}"
    rows = [
        ("judge", card.judge.words),
        ("observation", space_words(card.observation_space)),
        ("action", actions),
        ("reward, at random", f"{rewards}{sparse}"),
        (
            "return, at random",
            f"{number(met.return_mean)} ± {number(met.return_std)}, {met.episodes} episodes",
        ),
        ("length, at random", f"mean {number(met.length_mean)}, longest {number(met.length_max)}"),
        ("episode limit", _limit(card)),
        ("threshold", number(card.reward_threshold) if card.reward_threshold is not None else "none"),
        ("info keys", ", ".join(card.info_keys) or "none"),
    ]
    if card.left_out:
        rows.append(("left out", ", ".join(card.left_out)))
    return rows


def _limit(card: EnvCard) -> str:
    if card.assumed_limit is not None:
        return f"{card.assumed_limit} steps, cut there because the environment declares no limit"
    return "none" if card.max_episode_steps is None else f"{card.max_episode_steps} steps"


def space_words(space: Json) -> str:
    """A space in words, from its JSON: kind, shape or number of values, and the parts of a composed one."""
    if not isinstance(space, dict):
        return str(space)
    kind = str(space.get("kind") or space.get("type") or space.get("space") or "space")
    if kind == "Words":
        known = {*space["words"], *(word for _, word in space["places"])} if "words" in space else ()
        return f"text of {len(known)} words" if known else "text of any words"
    if "n" in space and not isinstance(space["n"], (list, dict)):
        return f"{kind} of {space['n']}"
    if "shape" in space:
        shape = space["shape"]
        return f"{kind} of shape {' × '.join(str(s) for s in shape) or 'scalar'}"
    parts = space.get("spaces")
    if isinstance(parts, dict):
        return f"{kind} of " + ", ".join(f"{key} ({space_words(part)})" for key, part in parts.items())
    if isinstance(parts, list):
        return f"{kind} of " + ", ".join(space_words(part) for part in parts)
    return kind
