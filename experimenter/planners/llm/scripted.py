"""A model that follows a script: for tests and demonstrations, shipped like any other, and the same every time.

A script is a TOML or JSON file with a list ``answers``, each of them for one question:

    [[answers]]
    kind = "choose_lever"          # the first question of this kind; the next entry of the kind is for the second
    replies = ['{"lever": "rewar', '{"lever": "reward", "reason": "nothing learns"}']

``replies`` are given one for each call of the question, repairs and code among them; ``reply`` is short for one.
A reply that is a table is given as JSON. ``question = "<id>"`` in place of ``kind`` answers that question only (which
keeps its place in the order of its kind), and ``repeat = true`` lets an entry answer all further questions of its
kind. ``refusal`` and ``fault`` (a fault's kind)
may stand in place of replies.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError, model_validator

from experimenter.errors import ConfigError, did_you_mean
from experimenter.identity import canonical_json
from experimenter.planners.llm.faults import FaultKind, ModelFault
from experimenter.planners.llm.model import Abilities, ModelName, ModelReply, ModelRequest, Usage
from experimenter.questions import QUESTIONS
from experimenter.records import Record

__all__ = ["ScriptedAnswer", "ScriptedClient"]

Answering = Callable[[ModelRequest], str | ModelReply]
_ALL = Abilities(native=True, tools=True, images=True)


class ScriptedAnswer(Record):
    """What is said to one question; see the module's docstring."""

    kind: str = ""
    question: str = ""
    reply: str | dict[str, Any] | None = None
    replies: tuple[str | dict[str, Any], ...] = ()
    refusal: str = ""
    fault: str = ""
    repeat: bool = False
    usage: Usage | None = Field(
        default=None, description="Tokens of each call; counted from the texts if absent."
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> ScriptedAnswer:
        if bool(self.kind) == bool(self.question):
            raise ValueError("name either the kind of the question or its id")
        if sum((self.reply is not None, bool(self.replies), bool(self.refusal), bool(self.fault))) != 1:
            raise ValueError("give one of reply, replies, refusal, fault")
        if self.fault and self.fault not in get_args(FaultKind):
            raise ValueError(f"there is no fault {self.fault}")
        return self

    def said(self) -> tuple[str | dict[str, Any], ...]:
        return self.replies or (() if self.reply is None else (self.reply,))


class ScriptedClient:
    """``ModelClient`` as ``scripted:FILE``, or over a function of the request.

    Which entry answers depends on the question's id, or on its kind and how many questions of that kind came before
    (``ModelRequest.ordinal``; without it, as counted here). Raises ModelFault (``refused``) where the script has
    nothing to say, and the faults that it asks for.
    """

    def __init__(
        self,
        answers: Sequence[ScriptedAnswer] | Answering,
        name: str = "script",
        abilities: Abilities = _ALL,
    ) -> None:
        self._answers = answers
        self._name = ModelName(provider="scripted", model=name)
        self._abilities = abilities
        self._seen: dict[str, list[str]] = {}

    @classmethod
    def from_file(cls, path: Path) -> ScriptedClient:
        """Raises ConfigError for a file that cannot be read, or that is no script."""
        try:
            text = path.read_text(encoding="utf-8")
            told = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
            if not isinstance(told, dict) or not told.get("answers"):
                raise ValueError("it has no list named answers, or an empty one")
            answers = [ScriptedAnswer.model_validate(one) for one in told["answers"]]
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as cause:
            raise ConfigError(
                f"{path} is no script of answers: {_first_line(cause)}.",
                "It is a TOML or JSON file with a list named answers.",
            ) from cause
        _check_kinds(answers, path)
        return cls(answers, str(path))

    @property
    def name(self) -> ModelName:
        return self._name

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    def complete(self, request: ModelRequest, seconds: float | None = None) -> ModelReply:
        if callable(self._answers):
            said = self._answers(request)
            return said if isinstance(said, ModelReply) else self._reply(request, said, None)
        entry = self._entry(request, self._answers)
        if entry.fault:
            kind: FaultKind = entry.fault  # type: ignore[assignment]
            raise ModelFault(f"{self._name} was told to fail here.", kind=kind)
        if entry.refusal:
            reply = self._reply(request, "", entry.usage)
            return reply.model_copy(update={"refusal": entry.refusal, "finish": "refusal"})
        said_here = entry.said()
        if request.call >= len(said_here):
            raise self._nothing(request)
        one = said_here[request.call]
        return self._reply(request, one if isinstance(one, str) else canonical_json(one), entry.usage)

    def _entry(self, request: ModelRequest, answers: Sequence[ScriptedAnswer]) -> ScriptedAnswer:
        left = self._ordinal(request)
        for entry in answers:
            if entry.question and entry.question == request.question:
                return entry
        for entry in (one for one in answers if one.kind == request.kind and one.kind):
            if left == 0 or entry.repeat:
                return entry
            left -= 1
        raise self._nothing(request)

    def _ordinal(self, request: ModelRequest) -> int:
        if request.ordinal is not None:
            return request.ordinal
        seen = self._seen.setdefault(request.kind, [])
        if request.question not in seen or (not request.question and request.call == 0):
            seen.append(request.question)
        return seen.index(request.question) if request.question else len(seen) - 1

    def _nothing(self, request: ModelRequest) -> ModelFault:
        what = f"call {request.call + 1} of {request.kind or 'a question'} {request.question}".strip()
        return ModelFault(f"{self._name} has no answer to {what}.", "Add one to the script.", "refused")

    def _reply(self, request: ModelRequest, text: str, usage: Usage | None) -> ModelReply:
        return ModelReply(
            text=text,
            finish="tool" if request.rung == "tool" and request.answer_schema is not None else "stop",
            usage=usage or _counted(request, text),
            model=self._name.model,
            answered_by=self._name,
        )


def _check_kinds(answers: Sequence[ScriptedAnswer], path: Path) -> None:
    """A slip in a kind would leave its questions to somebody else for a whole run."""
    known = [question.kind for question in QUESTIONS]
    for answer in answers:
        if answer.kind and answer.kind not in known:
            hint = did_you_mean(answer.kind, known) or f"There are {', '.join(known)}."
            raise ConfigError(f"{path} answers a question {answer.kind!r}, which there is not.", hint)


def _counted(request: ModelRequest, text: str) -> Usage:
    """A token for every four bytes, rounded up: made up, but the same every time."""
    asked = [request.system, *(message.text for message in request.messages)]
    return Usage(input_tokens=sum(map(_tokens, asked)), output_tokens=_tokens(text))


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // 4)


def _first_line(cause: Exception) -> str:
    if isinstance(cause, ValidationError):
        first = cause.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return f"{cause}".splitlines()[0] if str(cause) else type(cause).__name__
