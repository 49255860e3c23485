"""The planner in sentences: who answered, what it used, how much of what it wrote ran. Every face says the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from experimenter.report.lines import duration, number, percent
from experimenter.report.money import money, token_words
from experimenter.report.text import clip
from experimenter.results import Planning, Programs, Replayed, Share, Spent

__all__ = [
    "SCRIPTED",
    "answered_words",
    "is_scripted",
    "models_words",
    "planner_name",
    "programs_words",
    "replayed_words",
    "short_words",
    "spent_words",
    "times",
]

SCRIPTED: Final = (
    "The answers of scripted models were written by hand: this run shows the machinery, not a model."
)
_SCRIPTED: Final = "scripted:"
_NAME: Final = 80
_MOST: Final = 6
_KNOWN: Final = {
    "llm": "language models",
    "search": "the search planner",
    "random": "the random planner",
    "enqueued": "search with a model's proposals",
    "manual": "a person (or another program)",
    "person": "a person (or another program)",
    "unknown": "an unknown planner",
}


def planner_name(name: str) -> str:
    """A planner as a sentence has it."""
    return _KNOWN.get(name) or f"the planner {clip(name, _NAME)}"


def is_scripted(found: Planning) -> bool:
    """Whether some of the answers were written by hand, for a scripted model."""
    return any(name.startswith(_SCRIPTED) for name in found.models)


def answered_words(found: Planning) -> str:
    """Of how many questions, how many were answered by whom."""
    asked = sum(one.asked for one in found.questions)
    counts = Counter[str]()
    for one in found.questions:
        counts.update(one.answered_by)
    said = [f"{planner_name(name)} answered {number(count)}" for name, count in counts.most_common()]
    if refused := sum(one.refused for one in found.questions):
        said.append(f"{number(refused)} got no answer")
    return f"Of {_many(asked, 'question')}, {_listed(said)}."


def models_words(found: Planning) -> str:
    """Which models, as they were named and as their services name themselves; nothing without any."""
    if not found.models:
        return ""
    ranked = sorted(found.models.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{clip(name, _NAME)} in {_many(count, 'question')}" for name, count in ranked]
    own = {name.partition(":")[2] for name in found.models}
    served = [clip(name, _NAME) for name in found.served_as if name not in own]
    words = f"Models: {_some(named)}."
    return words + (f" Their services call them {_some(served)}." if served else "")


def spent_words(spent: Spent) -> str:
    """Tokens, dollars and the time that was waited, in one line."""
    cached = spent.cached_input_tokens
    part = f" ({number(cached)} of them cached)" if cached else ""
    waited = f", {duration(spent.seconds)} of waiting" if spent.seconds else ""
    return f"{token_words(spent)}{part}, {money(spent)}{waited}"


def replayed_words(one: Replayed) -> str:
    """What came out of an archive, and that it was not paid again."""
    return (
        f"{_many(one.answers, 'answer')} came from the archive of run {clip(one.run, _NAME)}. There they had used "
        f"{token_words(one.spent)}, {money(one.spent)}; nothing was paid again."
    )


def programs_words(one: Programs) -> str:
    """The executable share of one author's reward programs, with its interval."""
    first = f"{number(one.first_try)} passed every check at the first try ({_rate(one.at_first_try)})"
    rest = [f"{number(one.repaired)} after a repair"] if one.repaired else []
    rest += [f"{number(one.given_up)} never did"] if one.given_up else []
    head = (
        f"Of {_many(one.written, 'reward program')} by {planner_name(one.author)}, {_listed([first, *rest])}."
    )
    return head + (f" Executable share in the end: {_rate(one.executable)}." if one.repaired else "")


def short_words(found: Planning) -> Iterator[str]:
    """The same in two or three short lines, for a terminal."""
    if found.questions:
        names = _some([clip(name, 48) for name in found.models], 3)
        yield f"{answered_words(found)}{f' Models: {names}.' if names else ''}"
    if found.models and found.spent != Spent():
        yield f"Used {spent_words(found.spent)}."
    for one in found.replayed[:1]:
        yield replayed_words(one)
    yield from map(programs_words, found.programs[:_MOST])


def times(count: int) -> str:
    return "once" if count == 1 else f"{number(count)} times"


def _rate(share: Share) -> str:
    words = f"{percent(share.share)}, 95 % interval {percent(share.low)} to {percent(share.high)}"
    return words.replace(" %", "\u00a0%")  # a figure and its sign stay on one line


def _many(count: int, what: str) -> str:
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else "none"


def _some(names: list[str], most: int = _MOST) -> str:
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")
