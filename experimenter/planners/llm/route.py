"""Which planner answers which question, and who answers where that one refuses; nothing is replaced in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from experimenter.contracts import Consultant, Planner
from experimenter.errors import ConfigError, did_you_mean
from experimenter.planners.llm.calls import Consultation
from experimenter.questions import QUESTIONS, Answer, Question, Refusal

__all__ = ["DEFAULT_ROUTES", "KINDS", "Routed", "check_routes", "consulted", "whom_of"]

KINDS: Final = tuple(question.kind for question in QUESTIONS)
DEFAULT_ROUTES: Final[Mapping[str, str]] = {"choose_hyperparameters": "enqueued"}
"""A language model choosing hyperparameters was no better than random search without history, and equal with it, so
that search chooses, and what a model proposes is tried first."""


def check_routes(routes: Mapping[str, str]) -> None:
    """Raises ConfigError (with did-you-mean) for a kind of question that there is not."""
    for kind in routes:
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"There are {', '.join(KINDS)}."
            raise ConfigError(f"There is no question {kind!r}.", hint)


@dataclass
class Routed:
    """``main`` answers what ``routes`` does not send elsewhere; ``fallback`` answers what another one refused.

    ``routes`` maps kinds of questions to names in ``others``; the main planner may be named by its own name.
    """

    contract: ClassVar[int] = 1
    notice: ClassVar[str] = (
        "Each kind of question goes to the planner it is routed to; what one refuses, the search planner answers."
    )

    main: Planner
    fallback: Planner
    others: Mapping[str, Planner] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The main planner's: lessons and verdicts name who planned."""
        return self.main.name

    def __post_init__(self) -> None:
        check_routes(self.routes)
        known = self._planners()
        for kind, name in self.routes.items():
            if name not in known:
                hint = did_you_mean(name, known) or f"There are {', '.join(known)}."
                raise ConfigError(f"There is no planner {name!r} to route {kind} to.", hint)

    def planner_for(self, kind: str) -> Planner:
        return self._planners()[self.routes[kind]] if kind in self.routes else self.main

    def whom(self, kind: str) -> str:
        """The model that will be asked, where one will be."""
        return whom_of(self.planner_for(kind), kind)

    def answer(self, question: Question) -> Answer:
        return self.consult(question).answer

    def consult(self, question: Question) -> Consultation:
        """The answer of whoever is asked; after a typed refusal the fallback's, with a note that says so."""
        first = self.planner_for(question.kind)
        found = consulted(first, question)
        if not isinstance(found.answer, Refusal) or first is self.fallback:
            return found
        second = self.fallback.answer(question)
        if isinstance(second, Refusal):
            reason = f"{found.answer.reason} The planner {self.fallback.name} does not answer it either."
            return replace(found, answer=Refusal(reason=reason))
        said = (
            f"The planner {first.name} refused {question.kind}, so {self.fallback.name} answered it:"
            f" {found.answer.reason}"
        )
        return replace(found, answer=second, planner=self.fallback.name, notes=(*found.notes, said))

    def _planners(self) -> dict[str, Planner]:
        return {self.fallback.name: self.fallback, **self.others, self.main.name: self.main}


def whom_of(planner: Planner, kind: str) -> str:
    """The model that a planner will ask, where it asks one and can say which."""
    whom = getattr(planner, "whom", None)
    return str(whom(kind)) if callable(whom) else ""


def consulted(planner: Planner, question: Question) -> Consultation:
    """What any planner says, in the form of one that keeps a record."""
    if isinstance(planner, Consultant):
        found = planner.consult(question)
        return found if isinstance(found, Consultation) else Consultation(found.answer, found.planner)
    return Consultation(planner.answer(question), planner.name)
