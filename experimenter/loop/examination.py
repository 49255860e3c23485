"""A model sits the examination: it is asked every question, its programs run contained, and the shares are counted.

Programs go through the same gates as anyone's (``experimenter reward check``), without a training. A question that
the model does not answer counts as wrong; a model that cannot be asked at all ends the check with its fault.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from experimenter.config import Settings
from experimenter.contracts import Job
from experimenter.envs.records import EnvCard
from experimenter.errors import ContainmentError, ProgramRejected, TrainingFault
from experimenter.execution.local import LocalExecutor
from experimenter.identity import seeds
from experimenter.loop.bench import temporary_folder
from experimenter.loop.preparation import in_turn
from experimenter.loop.qualification import Qualification, Section, SectionName, section_of
from experimenter.loop.workbench import Workbench
from experimenter.planners.llm.asking import Limits
from experimenter.planners.llm.calls import Consultation, Kept
from experimenter.planners.llm.exam import curves, environments, trajectories
from experimenter.planners.llm.exam.estimate import Estimate, estimate
from experimenter.planners.llm.exam.identity import VERSION, exam_digest
from experimenter.planners.llm.faults import FaultKind, ModelFault
from experimenter.planners.llm.model import Abilities, ModelClient, ModelName, ModelReply, ModelRequest
from experimenter.planners.llm.planner import LLMPlanner
from experimenter.planners.search.curves import read_curve
from experimenter.questions import Answer, Question, Refusal, RewardPrograms, WriteRewards
from experimenter.sandbox.level import require_containment

__all__ = ["Doing", "Exam", "Hear", "prepare_exam", "qualify"]

CARD_STEPS: Final = 1_000
_CANNOT_BE_ASKED: Final[frozenset[FaultKind]] = frozenset(
    {"connection", "unavailable", "rate_limited", "over_quota", "bad_key", "no_key", "unknown_model"}
)
"""Faults that are no answer's; after a first reply, any other fault is the model's own: too slow, or nonsense."""


@dataclass(frozen=True, slots=True)
class Doing:
    """Where a check stands: ``done`` questions of a section's ``asked``, and what was spent on all of them so far.

    ``tokens`` are those that were counted; ``dollars`` is ``None`` once a call's price is unknown.
    """

    section: SectionName
    done: int
    asked: int
    questions: int
    tokens: int
    dollars: float | None


Hear = Callable[[Doing], None]
Marking = Callable[[Answer], bool]


@dataclass(frozen=True, slots=True)
class Exam:
    """The questions, with their environments measured. ``seed`` is that of measuring and of trying programs."""

    cards: dict[str, EnvCard]
    seed: int
    configurations: tuple[Question, ...] = ()
    rewards: tuple[WriteRewards, ...] = ()
    curves: tuple[curves.Labelled, ...] = field(default_factory=curves.labelled_curves)
    rankings: tuple[trajectories.Pair, ...] = field(default_factory=trajectories.pairs)

    @property
    def questions(self) -> tuple[Question, ...]:
        return (
            *self.configurations,
            *self.rewards,
            *(one.question for one in self.curves),
            *(one.question for one in self.rankings),
        )

    def estimate(self, name: ModelName) -> Estimate:
        return estimate(self.questions, name)


def prepare_exam(settings: Settings, seed: int = 0) -> Exam:
    """Measures the environments, one after the other in a process of their own; no model is asked.

    Raises ContainmentError where programs could not run here, and EnvironmentFault.
    """
    require_containment(allow_unsandboxed=settings.allow_unsandboxed)
    drawn, ids = seeds(seed, "probe", 1, "exam")[0], [place.env_id for place in environments.places()]
    look: dict[str, Any] = {"kwargs": {}, "judge": None, "steps": CARD_STEPS, "seed": drawn}
    silence = settings.silence_seconds
    jobs = [Job(id=one, kind="card", payload=look | {"id": one}, silence=silence) for one in ids]
    found = [EnvCard.model_validate(result.value["card"]) for result in in_turn("card", jobs)]
    cards = dict(zip(ids, found, strict=True))
    return Exam(cards, seed, environments.configurations(cards), environments.rewards(cards))


def qualify(
    exam: Exam, client: ModelClient, settings: Settings, hear: Hear = lambda _: None
) -> Qualification:
    """Puts every question to the model. Nothing is stored.

    Raises ModelFault where the model cannot be asked, ContainmentError, EnvironmentFault and WorkspaceError.
    """
    began = time.monotonic()
    with temporary_folder() as folder:
        executor = LocalExecutor(1, temporary=folder)
        try:
            sitting = _Sitting(exam, _Watched(client), settings, hear, executor, folder)
            sections = sitting.sections()
        finally:
            executor.close()
    return sitting.result(sections, time.monotonic() - began)


@dataclass
class _Watched:
    """The client, with what it was served as, and the fault of its last call if that one failed."""

    client: ModelClient
    fault: ModelFault | None = None
    served: set[str] = field(default_factory=set)
    replies: int = 0

    @property
    def name(self) -> ModelName:
        return self.client.name

    @property
    def abilities(self) -> Abilities:
        return self.client.abilities

    def complete(self, request: ModelRequest, seconds: float | None = None) -> ModelReply:
        try:
            reply = self.client.complete(request, seconds)
        except ModelFault as fault:
            self.fault = fault
            raise
        self.fault, self.replies = None, self.replies + 1
        self.served |= {reply.model} if reply.model else set()
        return reply


class _Sitting:
    """One model's sitting of one examination."""

    def __init__(
        self,
        exam: Exam,
        model: _Watched,
        settings: Settings,
        hear: Hear,
        executor: LocalExecutor,
        folder: Path,
    ) -> None:
        self.exam, self.model, self.settings, self.hear = exam, model, settings, hear
        self.executor, self.folder = executor, folder
        self.kept = Kept()
        self.asked: Counter[str] = Counter()
        self.planner = LLMPlanner(
            clients=lambda _: self.model,
            limits=Limits(
                max_tokens=settings.model_tokens,
                temperature=settings.model_temperature,
                call_seconds=settings.model_seconds,
                seconds=settings.question_seconds,
            ),
            log=self.kept,
            ordinal=lambda kind: self.asked[kind],
        )

    def sections(self) -> tuple[Section, ...]:
        return self._configurations(), self._rewards(), self._curves(), self._rankings()

    def result(self, sections: Sequence[Section], seconds: float) -> Qualification:
        used = [call.reply.usage for call in self.kept.calls.values()]
        return Qualification(
            model=str(self.model.name),
            served_as=tuple(sorted(self.model.served)),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            exam=VERSION,
            questions=exam_digest(),
            seed=self.exam.seed,
            environments=tuple(self.exam.cards),
            sections=tuple(sections),
            calls=len(self.kept.calls),
            input_tokens=_counted([one.input_tokens for one in used]),
            output_tokens=_counted([one.output_tokens for one in used]),
            dollars=self._dollars(),
            seconds=round(seconds, 3),
        )

    def _configurations(self) -> Section:
        return self._section(
            "configurations", [(question, environments.is_valid) for question in self.exam.configurations]
        )

    def _rewards(self) -> Section:
        return self._section(
            "rewards", [(question, partial(self._runs, question)) for question in self.exam.rewards]
        )

    def _curves(self) -> Section:
        labelled = self.exam.curves
        search = sum(curves.is_right(one, read_curve(one.question)) for one in labelled)
        asked = [(one.question, partial(curves.is_right, one)) for one in labelled]
        return self._section("curves", asked, search / len(labelled))

    def _rankings(self) -> Section:
        asked = [(pair.question, partial(trajectories.is_right, pair)) for pair in self.exam.rankings]
        return self._section("rankings", asked)

    def _section(
        self, name: SectionName, asked: Sequence[tuple[Question, Marking]], beside: float | None = None
    ) -> Section:
        right = first = unanswered = 0
        for done, (question, is_right) in enumerate(asked):
            self._tell(name, done, len(asked))
            found = self._ask(question)
            good = is_right(found.answer)
            right, first = right + good, first + (good and not found.repairs)
            unanswered += isinstance(found.answer, Refusal)
        self._tell(name, len(asked), len(asked))
        return section_of(name, len(asked), right, first, unanswered, beside)

    def _ask(self, question: Question) -> Consultation:
        """What the model says. Raises ModelFault where it could not be asked."""
        found = self.planner.consult(question)
        self.asked[question.kind] += 1
        fault = self.model.fault
        lost = isinstance(found.answer, Refusal) and fault is not None
        if lost and fault is not None and (not self.model.replies or fault.kind in _CANNOT_BE_ASKED):
            raise fault
        return found

    def _runs(self, question: WriteRewards, answer: Answer) -> bool:
        """Whether the program passes static check, containment, limits, contract and pre-flight."""
        if not isinstance(answer, RewardPrograms):
            return False
        bench = Workbench(
            self.executor, question.card, answer.programs[0], self.settings, 0, self.exam.seed, _quiet,
            self.folder,
        )  # fmt: skip
        try:
            seen = bench.run(training_seeds=1, native=False)
        except (ProgramRejected, TrainingFault):
            return False
        if seen.refused_by == "containment":
            raise ContainmentError(seen.why, seen.hint)
        return seen.accepted

    def _tell(self, section: SectionName, done: int, asked: int) -> None:
        counted = sum(call.reply.usage.total or 0 for call in self.kept.calls.values())
        self.hear(Doing(section, done, asked, sum(self.asked.values()), counted, self._dollars()))

    def _dollars(self) -> float | None:
        found = [call.dollars for call in self.kept.calls.values()]
        known = [one for one in found if one is not None]
        return sum(known) if len(known) == len(found) else None


def _counted(parts: Sequence[int | None]) -> int | None:
    """Their sum; ``None`` where one of them is unknown."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _quiet(_words: str, _done: float | None) -> None:
    """A program's gates take a moment only."""
