"""What code must satisfy before it is taken for an answer: the same static check that the contained worker begins with.

It gives the exact error for a repair turn in milliseconds, and runs nothing. The worker checks everything again.
"""

from __future__ import annotations

from collections.abc import Collection

from experimenter.envs.records import EnvCard
from experimenter.errors import ProgramRejected, did_you_mean
from experimenter.planners.llm.parsing import ReplyRejected

__all__ = ["checked_reward", "checked_success_test"]

_LONGEST = 20_000


def checked_reward(source: str, card: EnvCard, *, hidden: bool = False, tried: Collection[str] = ()) -> str:
    """The source of a reward program, or ReplyRejected with the line and what to do instead.

    ``tried`` are sources that would only be the same training again. With ``hidden`` the native reward may not be read.
    """
    fields = _fields(source)
    known = {feature.name for feature in card.features}
    named = {field.partition(".")[2] for field in fields if field.startswith(("now.", "next."))}
    if unknown := sorted(named - known):
        hint = did_you_mean(unknown[0], sorted(known)) or f"There are: {', '.join(sorted(known)[:40])}."
        raise ReplyRejected(f"This environment has no feature {unknown[0]}.", hint)
    if hidden and "native_reward" in fields:
        raise ReplyRejected("t.native_reward is hidden in this run.", "Pay for what the features show.")
    if source in tried:
        raise ReplyRejected("This very program was tried before.", "Write one that differs in its idea.")
    return source


def checked_success_test(source: str, card: EnvCard, *, hidden: bool = False) -> str:
    """The source of a success test: a program of the same language that names the component ``success``."""
    checked_reward(source, card, hidden=hidden)
    if '"success"' not in source and "'success'" not in source:
        raise ReplyRejected('The function must return one component, named "success".')
    return source


def _fields(source: str) -> frozenset[str]:
    from experimenter.sandbox.static import static_check

    if len(source) > _LONGEST:
        raise ReplyRejected(f"The program has {len(source):,} characters; {_LONGEST:,} are the most.")
    try:
        return static_check(source).fields
    except ProgramRejected as cause:
        raise ReplyRejected(cause.message, cause.hint or "Keep to the language of reward programs.") from None
