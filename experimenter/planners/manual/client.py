"""A person is one more model: slow, without a price, and asked by a file.

Each call is a page in a folder. The client says where it is and looks beside it twice a second until an answer stands
there whole, or the run is asked to stop. Nothing is lost by a kill: the same call finds the same page, and its answer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from experimenter.errors import Stopped
from experimenter.planners.llm.calls import call_id
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.model import Abilities, ModelName, ModelReply, ModelRequest, Usage
from experimenter.planners.manual.folder import Look, Place, declined, place_for, slip
from experimenter.planners.manual.page import page
from experimenter.workspace.files import storage_error, write_atomic

__all__ = ["LOOK_EVERY", "PATIENCE", "PERSON", "ManualClient"]

PERSON: Final = ModelName(provider="manual", model="person")
LOOK_EVERY: Final = 0.5
PATIENCE: Final = 20.0
"""Seconds for which an answer that is not whole must stay as it is before it is taken all the same."""


def _never() -> bool:
    return False


def _nothing(_kind: str, _data: Mapping[str, Any]) -> None:
    """Nobody listens."""


@dataclass
class ManualClient:
    """``ModelClient`` over the files of ``folder``; ``command`` is what a person may type in place of saving one.

    ``stop`` is asked at every look, ``say`` writes an event.
    """

    folder: Path
    stop: Callable[[], bool] = _never
    say: Callable[[str, Mapping[str, Any]], None] = _nothing
    command: str = "experimenter answer"
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    name: ModelName = PERSON
    abilities: Abilities = field(default_factory=Abilities)

    def complete(self, request: ModelRequest, seconds: float | None = None) -> ModelReply:
        """The answer, whenever it comes; ``None`` and infinite ``seconds`` are no deadline.

        Raises Stopped where the run is asked to stop, ModelFault (``timeout``) after ``seconds``, and WorkspaceError
        where the page cannot be written. The question stays open, and its answer is found by the next who asks.
        """
        began = self.clock()
        place = self._placed(request)
        until = began + (math.inf if seconds is None else seconds)
        found = self._awaited(place, request, until)
        write_atomic(place.done, f"{found.file.name}\n")
        return self._reply(found.text, self.clock() - began)

    def _placed(self, request: ModelRequest) -> Place:
        """The question's place, with its page; a mark of an answer that was taken but never kept is lifted."""
        place = place_for(self.folder, request.kind or "question", call_id(self.name, request)[:8])
        try:
            place.done.unlink(missing_ok=True)
        except OSError as cause:
            raise storage_error(place.done, cause) from cause
        self._write(place, request)
        return place

    def _write(self, place: Place, request: ModelRequest) -> None:
        if not place.page.exists():
            write_atomic(place.page, page(request, place.number, place.answer.name, self.command))

    def _awaited(self, place: Place, request: ModelRequest, until: float) -> Look:
        """The first answer that stays the same from one look to the next, and is whole or stays so for long."""
        seen, since, told = place.look(), self.clock(), set[str]()
        if seen is None or seen.wrong:
            self._note(
                f"Question {place.number} ({place.kind}) waits for you. Answer with: {self.command}"
                f" (or save {place.answer.name} beside {place.page})"
            )
        while True:
            self._heed(place, until)
            self.sleep(LOOK_EVERY)
            found = place.look()
            if found != seen:
                seen, since = found, self.clock()
            elif found is not None:
                problem = _problem(found, request)
                if not problem or (not found.wrong and self.clock() - since >= PATIENCE):
                    return found
                self._tell_once(found, problem, told)
            self._write(place, request)

    def _heed(self, place: Place, until: float) -> None:
        if self.stop():
            raise Stopped(
                "The run was asked to stop while it waited for an answer.",
                f"The question stays open in {place.page}; answer it, and resume the run.",
            )
        if self.clock() >= until:
            raise ModelFault(
                f"Nobody answered {place.page.name} in time.", "Answer it, and resume the run.", "timeout"
            )

    def _tell_once(self, found: Look, problem: str, told: set[str]) -> None:
        """A file that cannot be an answer is named once for each reason, one that is still growing once."""
        key = problem if found.wrong else ""
        if key in told:
            return
        told.add(key)
        if found.wrong:
            self._note(f"{found.file} cannot be taken as an answer. {problem} The question goes on waiting.")
        else:
            self._note(
                f"{found.file.name} is no whole answer yet. {problem}"
                f" If nothing changes in it for {PATIENCE:g} seconds, it is taken as it is."
            )

    def _note(self, words: str) -> None:
        self.say("note", {"words": words})

    def _reply(self, text: str, seconds: float) -> ModelReply:
        why = declined(text)
        return ModelReply(
            text="" if why is not None else text,
            refusal=why or "",
            finish="stop" if why is None else "refusal",
            usage=Usage(input_tokens=0, output_tokens=0),
            model=self.name.model,
            answered_by=self.name,
            seconds=seconds,
        )


def _problem(found: Look, request: ModelRequest) -> str:
    """Why this may not be all of an answer; a program's last fence could still be open."""
    if found.wrong:
        return found.wrong
    code = request.answer_schema is None
    error = slip(found.text, code=code)
    if error is not None:
        return str(error)
    fences = sum(line.lstrip().startswith("```") for line in found.text.splitlines())
    return "Its last fence is not closed." if code and fences % 2 and declined(found.text) is None else ""
