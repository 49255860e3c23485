"""What a model is asked to write down for each question: flat, without what only this program knows, and checked.

A form is smaller than the answer that it becomes. Bookkeeping (versions, origins, identifiers of environments) is
added here, and open objects such as an environment's parameters become one field for each parameter, because services
enforce closed schemas only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from experimenter.identity import slug
from experimenter.planners.llm.parsing import ReplyRejected, parse_answer
from experimenter.planners.search.curves import read_curve
from experimenter.questions import (
    Answer,
    ChooseLever,
    Decompose,
    Decomposition,
    LeverChoice,
    RankRollouts,
    ReadCurve,
    Reflect,
    Reflection,
    RolloutRanking,
    WriteRewards,
)

__all__ = [
    "Form",
    "Idea",
    "Ideas",
    "Part",
    "ideas",
    "labels",
    "lever",
    "made",
    "ranking",
    "reading",
    "reflection",
    "steps",
]

_NAME: Final = 60
_REASON: Final = 300
_SENTENCE: Final = 400
_IDEA: Final = 800


class Part(BaseModel):
    """Base of what stands within an answer: closed, finite, and without a version of its own."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=(), populate_by_name=False
    )


@dataclass(frozen=True, slots=True)
class Form:
    """``written`` is the model's part, ``finish`` what becomes of it; it raises ReplyRejected for a broken rule."""

    written: type[Answer]
    finish: Callable[[Any], Answer]

    @property
    def schema(self) -> dict[str, Any]:
        return self.written.model_json_schema()

    def read(self, text: str) -> Answer:
        """The answer that a reply holds. Raises ReplyRejected."""
        written = parse_answer(text, self.written)
        try:
            return self.finish(written)
        except ValidationError as cause:
            first = cause.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ReplyRejected(f"The answer is not valid: {where}: {first['msg']}.") from None


def made(name: str, /, **fields: Any) -> type[Answer]:
    """An answer's type with these fields, each a pair of annotation and default (or ``Field``)."""
    return create_model(name, __base__=Answer, **fields)


def labels(values: Sequence[str]) -> Any:
    """The type of one of these texts."""
    return Literal[tuple(dict.fromkeys(values))]


def lever(question: ChooseLever) -> Form:
    written = made(
        "LeverChoice",
        reason=(str, Field(min_length=1, max_length=_REASON)),
        lever=(labels(question.available), ...),
    )
    return Form(written, lambda said: LeverChoice(lever=said.lever, reason=said.reason))


def reading(question: ReadCurve) -> Form:
    """State and advice are the model's, the slope with its interval is computed."""
    measured = read_curve(question)
    written = made(
        "CurveReading",
        seen=(str, Field(max_length=_REASON)),
        state=(Literal["improving", "converged", "stuck", "collapsed", "too short"], ...),
        keep_training=(bool, ...),
    )
    return Form(
        written,
        lambda said: measured.model_copy(
            update={"state": said.state, "keep_training": said.keep_training},
        ),
    )


def ranking(question: RankRollouts) -> Form:
    """Every id once, from best to worst."""
    ids = [rollout.id for rollout in question.rollouts]
    one_of: Any = labels(ids)
    written = made(
        "RolloutRanking",
        reason=(str, Field(max_length=_REASON)),
        order=(list[one_of], Field(min_length=len(ids), max_length=len(ids))),
    )

    def finish(said: Any) -> Answer:
        if sorted(said.order) != sorted(ids):
            raise ReplyRejected("The order must name each rollout exactly once.")
        return RolloutRanking(order=tuple(said.order))

    return Form(written, finish)


def reflection(question: Reflect) -> Form:
    ran = any(not attempt.error for attempt in question.attempts)
    written = made(
        "Reflection",
        sentence=(str | None, Field(max_length=_SENTENCE)),
        keep_skill=(bool, ...),
        skill_description=(str, Field(max_length=_REASON)),
    )

    def finish(said: Any) -> Answer:
        if said.keep_skill and not ran:
            raise ReplyRejected("Nothing ran to its end, so there is no skill to keep.")
        if said.keep_skill and not said.skill_description.strip():
            raise ReplyRejected("A skill that is kept needs a skill_description.")
        sentence = " ".join((said.sentence or "").split()) or None
        described = " ".join(said.skill_description.split()) if said.keep_skill else ""
        return Reflection(sentence=sentence, keep_skill=said.keep_skill, skill_description=described)

    return Form(written, finish)


def steps(question: Decompose) -> Form:
    """Skills by name, in order; whether they can follow each other, and reach what is wanted, is checked here."""
    known = {skill.name: skill for skill in question.skills}
    one_of: Any = labels(list(known))
    facts = labels([*question.wanted, *(need for skill in question.skills for need in skill.requires)])
    written = made(
        "Decomposition",
        skills=(list[one_of], Field(max_length=4 * len(known))),
        gap=(facts | None, ...),
    )

    def finish(said: Any) -> Answer:
        have = set(question.have)
        for number, name in enumerate(said.skills, start=1):
            if missing := [need for need in known[name].requires if need not in have]:
                raise ReplyRejected(
                    f"Step {number}, {name}, requires {missing[0]}, which nothing before it gives."
                )
            have |= set(known[name].gives)
        unmet = [fact for fact in question.wanted if fact not in have]
        if unmet and said.gap is None:
            raise ReplyRejected(
                f"After these skills, {unmet[0]} is still not true: add a skill, or name a gap."
            )
        if said.gap is not None and (not unmet or said.gap in have):
            raise ReplyRejected(
                f"{said.gap} is no gap: {'the skills give it' if unmet else 'nothing is missing'}."
            )
        return Decomposition(skills=tuple(said.skills), gap=said.gap)

    return Form(written, finish)


class Idea(Part):
    """One reward, before it is written: what it pays for, and which failures it avoids."""

    name: str = Field(min_length=1, max_length=_NAME)
    idea: str = Field(min_length=1, max_length=_IDEA)


class Ideas(Answer):
    """Distinct ideas, under names that are identifiers."""

    ideas: tuple[Idea, ...]


def ideas(question: WriteRewards) -> Form:
    many = Field(min_length=question.count, max_length=question.count)
    written = made("RewardIdeas", ideas=(list[Idea], many))

    def finish(said: Any) -> Answer:
        taken: list[str] = []
        for one in said.ideas:
            taken.append(slug(one.name, "reward", taken))
        named = (Idea(name=name, idea=one.idea) for name, one in zip(taken, said.ideas, strict=True))
        return Ideas(ideas=tuple(named))

    return Form(written, finish)
