"""From a question to the words that a model reads: what is stable first, what is foreign quoted, every section capped.

Nothing volatile is in a prompt (no time, no speed, no path), so that the same question gives the same words, a
provider's cache can keep what comes first, and a replay can tell whether it would ask the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from experimenter.identity import canonical_json, digest
from experimenter.planners.llm.journal import (
    best_of,
    diagnosed,
    history_lines,
    programs_of,
    refused_lines,
    worst_of,
)
from experimenter.planners.llm.model import Message
from experimenter.planners.llm.notes import Note, lessons_told, noted
from experimenter.planners.llm.quoting import cut, inline, quoted
from experimenter.planners.llm.shapes import in_words
from experimenter.planners.llm.templates import fill, part, template
from experimenter.planners.llm.words import card_words, curve_words, number
from experimenter.questions import (
    Attempt,
    ChooseHyperparameters,
    ChooseLever,
    Decompose,
    DesignEnvironments,
    ProposeTasks,
    Question,
    RankRollouts,
    ReadCurve,
    Reflect,
    WriteRewards,
    WriteSuccessTest,
)

__all__ = ["CAPS", "LONGEST", "Note", "Prompt", "is_hidden", "one_reward", "render", "repair_turn"]

CAPS: Final[dict[str, int]] = {
    "wish": 2_000,
    "notes": 12_000,
    "card": 12_000,
    "lessons": 4_000,
    "skills": 6_000,
    "history": 8_000,
    "meanings": 1_500,
    "diagnoses": 4_000,
    "rejected": 3_500,
    "program": 6_000,
    "failed": 22_000,
    "error": 2_500,
    "curve": 4_000,
    "rollouts": 12_000,
    "shape": 9_000,
    "inline": 2_000,
}
"""Characters of each section, quoting included. Four are about one token of English; other texts take more."""

LONGEST: Final[dict[str, int]] = {
    "propose_tasks": 68_000,
    "decompose": 36_000,
    "design_environments": 56_000,
    "write_rewards": 68_000,
    "choose_hyperparameters": 57_000,
    "read_curve": 9_000,
    "rank_rollouts": 37_000,
    "reflect": 51_000,
    "write_success_test": 58_000,
    "choose_lever": 47_000,
}
"""Characters of a whole prompt, system text included, whatever the question holds; about a quarter of it in tokens."""

_MOST_NAMES: Final = 60


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is said before the first reply."""

    system: str
    messages: tuple[Message, ...]

    @property
    def hash(self) -> str:
        return digest([self.system, *(message.text for message in self.messages)])

    @property
    def characters(self) -> int:
        return len(self.system) + sum(len(message.text) for message in self.messages)

    @property
    def tokens(self) -> int:
        """An estimate: one for every four characters."""
        return -(-self.characters // 4)


def render(question: Question, schema: dict[str, Any] | None, notes: Sequence[Note] = ()) -> Prompt:
    """The prompt of any question. ``schema`` is the form's; ``None`` where code is asked for."""
    sections = _shared(question, notes) | _own(question)
    shape = in_words(schema) if schema is not None else ""
    sections["form"] = part("form", cut(shape, CAPS["shape"]))
    repairing = isinstance(question, WriteRewards) and question.failed is not None
    text = fill("repair_reward" if repairing else question.kind, sections)
    return Prompt(template("system"), (Message(role="user", text=text),))


def one_reward(prompt: Prompt, ideas: str, index: int, count: int, name: str) -> Prompt:
    """The same conversation, with its ideas answered, asking for the program of one of them (``index`` from 0)."""
    asked = fill("write_one_reward", {"number": str(index + 1), "count": str(count), "name": name})
    turns = (Message(role="assistant", text=ideas), Message(role="user", text=asked))
    return Prompt(prompt.system, (*prompt.messages, *turns))


def repair_turn(error: str, code: bool) -> str:
    """What a repair turn says: the exact error, quoted, for it quotes what the model wrote."""
    form = (
        "with the complete program in one block fenced by ```python and ```"
        if code
        else "with one JSON object"
    )
    return fill("repair", {"error": quoted(error, CAPS["error"]), "form": form})


def is_hidden(question: Question) -> bool:
    """Whether the native reward and all that the judge says must not be shown."""
    goal = getattr(question, "goal", None)
    return goal is not None and goal.judge_visibility == "hidden"


def _shared(question: Question, notes: Sequence[Note]) -> dict[str, str]:
    """Sections that several questions have; one that a question lacks is empty."""
    hidden = is_hidden(question)
    goal, card = getattr(question, "goal", None), getattr(question, "card", None)
    history: Sequence[Attempt] = getattr(question, "history", ()) or getattr(question, "attempts", ())
    meanings, details = diagnosed(history, hidden=hidden)
    return {
        "goal": part("goal", quoted(goal.wish, CAPS["wish"])) if goal else "",
        "notes": part("notes", quoted(noted(notes), CAPS["notes"])),
        "card": part("card", quoted(card_words(card, hidden=hidden), CAPS["card"])) if card else "",
        "lessons": part("lessons", quoted(lessons_told(getattr(question, "lessons", ())), CAPS["lessons"])),
        "history": part("history", _lines(history_lines(history, hidden=hidden), "history")),
        "diagnoses": part(
            "diagnoses",
            _lines(details, "diagnoses"),
            meanings=cut("\n".join(meanings), CAPS["meanings"]),
        ),
        "rejected": part("rejected", _lines(refused_lines(history), "rejected")),
        "language": fill("parts/language", {"native": "" if hidden else ", `t.native_reward` (n,)"}),
    }


def _lines(lines: Sequence[str], cap: str) -> str:
    return quoted("\n".join(lines), CAPS[cap])


def _own(question: Question) -> dict[str, str]:
    """What only this kind of question has."""
    match question:
        case ProposeTasks():
            names = "\n".join(inline(name, 80) for name in question.skills[:_MOST_NAMES])
            return {"count": str(question.count), "skills": part("skills", quoted(names, CAPS["skills"]))}
        case Decompose():
            return _decompose(question)
        case DesignEnvironments():
            return _mixtures(question)
        case WriteRewards():
            return _rewards(question)
        case ChooseHyperparameters():
            return _settings(question)
        case ReadCurve():
            return _curve(question)
        case RankRollouts():
            return {"rollouts": part("rollouts", quoted(_rollouts(question), CAPS["rollouts"]))}
        case Reflect():
            return _reflect(question)
        case ChooseLever():
            return {"available": _names(question.available)}
        case WriteSuccessTest():
            return _failure(question.failed or "", question.error)
    return {}


def _mixtures(question: DesignEnvironments) -> dict[str, str]:
    now = [inline(question.error, 600)] if question.error else []
    refused = refused_lines(question.history) + now
    return {"count": str(question.count), "rejected": part("rejected", _lines(refused, "rejected"))}


def _settings(question: ChooseHyperparameters) -> dict[str, str]:
    base = question.off_policy or question.base
    return {
        "count": str(question.count),
        "steps": f"{question.steps:,}",
        "algorithm": inline(question.algorithm, 40),
        "base": quoted(canonical_json(base.model_dump(exclude={"v"})), CAPS["inline"]),
    }


def _curve(question: ReadCurve) -> dict[str, str]:
    target = question.target
    wanted = "" if target is None else f"The target is a true return of {number(target)}."
    return {"curve": part("curve", quoted(curve_words(question.points), CAPS["curve"])), "target": wanted}


def _decompose(question: Decompose) -> dict[str, str]:
    told = [
        f"{inline(one.name, 80)}: requires {_names(one.requires) or 'nothing'}; gives {_names(one.gives) or 'nothing'}"
        for one in question.skills
    ]
    return {
        "wanted": _names(question.wanted),
        "have": _names(question.have) or "nothing",
        "skills": part("skills", _lines(told, "skills")),
    }


def _names(names: Sequence[str]) -> str:
    """Names as JSON strings, which nothing within them can end."""
    told = ", ".join(json.dumps(inline(name, 80)) for name in names[:_MOST_NAMES])
    return cut(told, CAPS["inline"])


def _rewards(question: WriteRewards) -> dict[str, str]:
    hidden = is_hidden(question)
    found = [] if hidden else programs_of(question.history)
    best, worst = best_of(found), worst_of(found)
    failed = question.failed.source if question.failed else ""
    return {
        "count": str(question.count),
        "best": _program("best", best),
        "worst": _program("worst", worst),
        **_failure(failed, question.error),
    }


def _failure(failed: str, error: str) -> dict[str, str]:
    return {
        "failed": part("failed", quoted(failed, CAPS["failed"])),
        "error": part("error", quoted(error, CAPS["error"])),
    }


def _program(which: str, attempt: Attempt | None) -> str:
    if attempt is None or attempt.reward is None:
        return ""
    figures = f"true return {number(attempt.true_return)} after {attempt.steps:,} steps"
    return part(which, quoted(attempt.reward.source, CAPS["program"]), figures=figures)


def _rollouts(question: RankRollouts) -> str:
    """In an order drawn from the question's seed: what is listed first is often liked best. The score is not shown."""
    drawn = random.Random(question.seed).sample(question.rollouts, len(question.rollouts))
    each = max(200, CAPS["rollouts"] // max(1, len(drawn)) - 120)
    return "\n".join(f"{json.dumps(inline(one.id, 80))}: {inline(one.words, each)}" for one in drawn)


def _reflect(question: Reflect) -> dict[str, str]:
    hidden = is_hidden(question)
    before = [] if question.baseline is None else history_lines([question.baseline], hidden=hidden)
    return {
        "lever": question.lever,
        "effect": _effect(question) if not hidden else "",
        "before": part("before", _lines(before, "inline")),
    }


def _effect(question: Reflect) -> str:
    if question.effect is None:
        return "There is nothing to compare it with."
    luck = "" if question.repeated else " It was one training and was not repeated, so it may be luck."
    wanted = "" if question.target is None else f" The target is {number(question.target)}."
    return f"Its effect on the true return was {question.effect:+.4g}.{luck}{wanted}"
