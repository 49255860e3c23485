"""The planner that asks language models: every kind of question, each by the model of its role.

What fixed code knows already is not asked: whether a curve is too short, what is missing where there are no skills.
A model that fails, declines or stays wrong is a typed refusal; whoever routes questions decides who answers instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, cast

from experimenter.config import Settings
from experimenter.planners.asked import question_id
from experimenter.planners.desk import Desk
from experimenter.planners.llm import forms, settings
from experimenter.planners.llm.asking import Asked, Limits, Talk, Unanswered
from experimenter.planners.llm.calls import CallLog, Consultation, Gate, Kept, Pricing
from experimenter.planners.llm.faults import LASTING, ModelFault
from experimenter.planners.llm.forms import Form
from experimenter.planners.llm.model import ModelClient, ModelName, ModelRequest, Rung
from experimenter.planners.llm.names import Role
from experimenter.planners.llm.prices import dollars
from experimenter.planners.llm.programs import checked_success_test
from experimenter.planners.llm.prompting import Note, Prompt, is_hidden, render
from experimenter.planners.llm.seeing import by_pairs, has_pictures, with_pictures
from experimenter.planners.llm.writing import repaired, written
from experimenter.planners.search.curves import read_curve
from experimenter.questions import (
    Answer,
    ChooseHyperparameters,
    ChooseLever,
    Decompose,
    Decomposition,
    DesignEnvironments,
    ProposeTasks,
    Question,
    RankRollouts,
    ReadCurve,
    Reflect,
    Reflection,
    Refusal,
    RolloutRanking,
    SuccessTest,
    WriteRewards,
    WriteSuccessTest,
)

__all__ = ["ROLES_OF", "LLMPlanner", "form_of"]

ROLES_OF: Final[dict[str, Role]] = {
    "propose_tasks": "planner",
    "decompose": "planner",
    "design_environments": "planner",
    "write_rewards": "coder",
    "choose_hyperparameters": "planner",
    "read_curve": "judge",
    "rank_rollouts": "judge",
    "reflect": "summary",
    "write_success_test": "coder",
    "choose_lever": "planner",
}
"""Whose model answers which kind of question."""


def _allow(_model: ModelName, _request: ModelRequest) -> None:
    """No budget is kept here."""


def _unknown(_kind: str) -> int | None:
    return None


@dataclass
class LLMPlanner:
    """``clients`` opens the model of a role, once. ``notes`` are the person's, and are part of every prompt.

    ``log`` keeps each call before its reply is used; ``gate`` may forbid a call that would be paid; ``ordinal`` says
    how many questions of a kind the run asked before, for models that follow a script. ``images`` shows pictures, where
    there are any, to models that can see them.
    """

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "llm"
    notice: ClassVar[str] = (
        "Questions are answered by language models: what they propose is checked here, run contained, and judged apart."
    )

    clients: Callable[[Role], ModelClient]
    notes: tuple[Note, ...] = ()
    limits: Limits = field(default_factory=Limits)
    log: CallLog = field(default_factory=Kept)
    gate: Gate = _allow
    pricing: Pricing = dollars
    ordinal: Callable[[str], int | None] = _unknown
    images: bool = False
    models: Mapping[Role, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    _rungs: dict[str, Rung] = field(default_factory=dict)
    _open: dict[Role, ModelClient] = field(default_factory=dict)

    @classmethod
    def opened(cls, desk: Desk) -> LLMPlanner:
        """The planner of a run, its models named by the settings. Raises ConfigError."""
        from experimenter.planners.llm.opening import open_llm

        return open_llm(desk)

    @classmethod
    def ready(cls, settings: Settings) -> None:
        """Raises ConfigError or ModelFault where a model's name or key is missing; nothing is sent."""
        from experimenter.planners.llm.opening import check_models

        check_models(settings)

    def whom(self, kind: str) -> str:
        """The model that will be asked first, as far as it is known before it is opened."""
        return self.models.get(ROLES_OF[kind], "") if kind in ROLES_OF else ""

    def answer(self, question: Question) -> Answer:
        """The answer alone; ``consult`` says how it came about."""
        return self.consult(question).answer

    def consult(self, question: Question) -> Consultation:
        """Answer or typed refusal, with every call behind it.

        Raises ModelFault where no further question would fare better until a person has put something right (a key, a
        model's name), Stopped, and as ``log`` and ``gate`` do.
        """
        if question.kind not in ROLES_OF:
            return _refused(f"no model is asked {question.kind}.")
        seen = self.images and has_pictures(question)
        if (known := _known_already(question, seen=seen)) is not None:
            return Consultation(known)
        try:
            talk = self._talk(question)
        except ModelFault as fault:
            if fault.kind in LASTING:
                raise
            return _refused(str(fault), (f"{fault.kind}: {fault.message}",))
        form = form_of(question)
        prompt = render(question, form.schema if form else None, self.notes)
        try:
            answer = self._seen(question, talk, form) if seen else None
            answer = answer or _answered(question, talk, prompt, form)
        except (ModelFault, Unanswered) as cause:
            if isinstance(cause, ModelFault) and cause.kind in LASTING:
                raise
            answer = Refusal(reason=str(cause))
        return Consultation(
            answer,
            self.name,
            tuple(talk.calls),
            tuple(talk.rejected),
            tuple(talk.faults),
            tuple(talk.notes),
            talk.repairs,
            prompt.hash,
            tuple(talk.mended),
        )

    def _seen(self, question: Question, talk: Talk, form: Form | None) -> Answer | None:
        """The answer of a model that was shown pictures; ``None`` where it cannot see, which is then noted."""
        if form is None or not talk.client.abilities.images:
            return None

        def shown(one: Question) -> Any:
            pictured = form_of(one)
            assert pictured is not None, "only typed questions have pictures"
            prompt = with_pictures(one, render(one, pictured.schema, self.notes))
            return talk.typed(prompt, pictured.schema, pictured.read)

        try:
            if not isinstance(question, RankRollouts):
                return cast(Answer, shown(question))
            order, compared = by_pairs(question, lambda pair: tuple(shown(pair).order))
        except ModelFault as fault:
            if fault.kind != "bad_request":
                raise
            talk.notes.append(f"{talk.client.name} takes no pictures; it is asked in words.")
            return None
        talk.notes.append(f"{compared} pairs of rollouts were compared by their pictures.")
        return RolloutRanking(order=order)

    def _talk(self, question: Question) -> Talk:
        role = ROLES_OF[question.kind]
        if role not in self._open:
            self._open[role] = self.clients(role)
        return Talk(
            client=self._open[role],
            asked=Asked(question.kind, question_id(question), role, self.ordinal(question.kind)),
            limits=self.limits,
            log=self.log,
            gate=self.gate,
            pricing=self.pricing,
            rungs=self._rungs,
            clock=self.clock,
        )


def _refused(reason: str, faults: tuple[str, ...] = ()) -> Consultation:
    return Consultation(Refusal(reason=reason), faults=faults)


def _known_already(question: Question, *, seen: bool) -> Answer | None:
    """Answers for which no model is needed, or that none could give. ``seen``: there are pictures to show."""
    match question:
        case ReadCurve():
            reading = read_curve(question)
            return reading if reading.state == "too short" else None
        case Decompose() if not question.skills or set(question.wanted) <= set(question.have):
            missing = [fact for fact in question.wanted if fact not in question.have]
            return Decomposition(gap=missing[0] if missing else None)
        case Reflect() if not question.attempts:
            return Reflection()
        case RankRollouts() if len(question.rollouts) < 2:
            return RolloutRanking(order=tuple(rollout.id for rollout in question.rollouts))
        case RankRollouts() if not seen and not any(rollout.words for rollout in question.rollouts):
            return Refusal(
                reason="the rollouts are not described in words, so that a model has nothing to judge."
            )
        case DesignEnvironments() if not settings.parameters_of(question.card):
            return Refusal(reason=f"{question.target.id} has no parameters to vary.")
    return None


def form_of(question: Question) -> Form | None:
    """What the model fills in; ``None`` where all that is wanted is code."""
    match question:
        case ProposeTasks():
            return settings.tasks(question)
        case Decompose():
            return forms.steps(question)
        case DesignEnvironments():
            return settings.mixtures(question)
        case WriteRewards() if question.failed is None:
            return forms.ideas(question)
        case ChooseHyperparameters():
            return settings.hyperparameters(question)
        case ReadCurve():
            return forms.reading(question)
        case RankRollouts():
            return forms.ranking(question)
        case Reflect():
            return forms.reflection(question)
        case ChooseLever():
            return forms.lever(question)
    return None


def _answered(question: Question, talk: Talk, prompt: Prompt, form: Form | None) -> Answer:
    if isinstance(question, WriteRewards):
        return repaired(question, talk, prompt) if form is None else written(question, talk, prompt, form)
    if isinstance(question, WriteSuccessTest):
        hidden = is_hidden(question)
        source = talk.code(prompt, lambda code: checked_success_test(code, question.card, hidden=hidden))
        return SuccessTest(source=source)
    assert form is not None, "only code is asked for without a form"
    return talk.typed(prompt, form.schema, form.read)
