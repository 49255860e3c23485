"""A call as one Markdown page: for a person who reads from the top, and for a chat window that gets all of it at once.

What is new (a repair's exact error, the program that is wanted now) stands first; the whole conversation follows it,
because the window may never have seen it, and ends with what is asked.
"""

from __future__ import annotations

import re
from typing import Final

from experimenter.planners.llm.model import Message, ModelRequest
from experimenter.planners.llm.quoting import clean

__all__ = ["page", "wants_code"]

_CODE: Final = "The answer is one fenced block of Python."
_JSON: Final = "The answer is one JSON object."
_END: Final = "-->"
_NOW: Final = "# What is asked now"
_BEFORE: Final = "# All that was said before"
_SAID: Final = "# What was answered"
_AGAIN: Final = "# Once more: what is asked now"
_FENCES: Final = re.compile(r"`{3,}")


def page(request: ModelRequest, number: int, answer_name: str, command: str) -> str:
    """The page of a call. ``answer_name`` is the file that its answer is expected in, ``command`` what writes it."""
    *before, last = request.messages
    head = _head(request, number, answer_name, command)
    if not before:
        return _joined(head, request.system, last.text)
    told = [part for message in before for part in _turn(message)]
    return _joined(head, _NOW, last.text, "---", _BEFORE, request.system, *told, "---", _AGAIN, last.text)


def wants_code(text: str) -> bool:
    """Whether a page asks for a program; every other page asks for a JSON object."""
    return _CODE in text.partition(_END)[0]


def _head(request: ModelRequest, number: int, answer_name: str, command: str) -> str:
    """What the person needs to know, in three lines that a reader of Markdown does not show."""
    form = _JSON if request.answer_schema is not None else _CODE
    return (
        f"<!-- Question {number} ({request.kind or 'question'}). {form} Words around it do no harm.\n"
        f"     Save it beside this file as {answer_name}, or type: {command.replace(_END, '-- >')}\n"
        f"     To leave the question to somebody else, answer with one line: refuse: why {_END}"
    )


def _turn(message: Message) -> tuple[str, ...]:
    """A reply is fenced, so that nothing in it reads as a part of the page."""
    if message.role == "user":
        return (message.text,)
    text = clean(message.text)
    longest = max((len(run) for run in _FENCES.findall(text)), default=3)
    fence = "`" * (longest + 1)
    return ("---", _SAID, f"{fence}text\n{text}\n{fence}")


def _joined(*parts: str) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"
