"""From a reply's text to a typed answer, or to the exact error that a repair turn can carry. Never anything else.

Nothing here trusts the text: it is bounded before it is read, every step is linear in it (no pattern that backtracks),
and what Python's own parser would let through (NaN, numbers of a million digits, twice the same key, half a surrogate
pair, nesting that depends on the caller's stack) is refused by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final, NoReturn, TypeVar

from pydantic import ValidationError

from experimenter.errors import ExperimenterError
from experimenter.questions import Answer

__all__ = ["LONGEST_REPLY", "ReplyRejected", "parse_answer", "parse_code", "parse_object"]

LONGEST_REPLY: Final = 200_000
"""Characters; more than any answer needs, and few enough to be read in a moment."""

_DEEPEST: Final = 64
_LONGEST_NUMBER: Final = 40
_CANDIDATES: Final = 24
_ERRORS_TOLD: Final = 8
_QUOTED: Final = 60
_FENCE: Final = "```"
_THOUGHT: Final = "</think>"

AnswerT = TypeVar("AnswerT", bound=Answer)


class ReplyRejected(ExperimenterError):
    """A reply that holds no valid answer; the message says exactly why, in words for the model that wrote it."""

    def __init__(
        self, message: str, hint: str = "Answer again, with one JSON object that follows the schema."
    ) -> None:
        super().__init__(message, hint)


def parse_answer(text: str, answer_type: type[AnswerT]) -> AnswerT:
    """The answer that a reply holds, validated against its type. Raises ReplyRejected."""
    value = parse_object(text)
    try:
        return answer_type.model_validate(value)
    except ValidationError as cause:
        problem = _told(cause)
    except ExperimenterError as cause:
        problem = str(cause)
    except (OverflowError, RecursionError, TypeError) as cause:
        problem = f"a value is out of every range ({type(cause).__name__})"
    raise ReplyRejected(f"The JSON object is not a valid {answer_type.__name__}: {problem}.")


def parse_object(text: str) -> dict[str, Any]:
    """The one JSON object of a reply: alone, in a fenced block, or in the midst of words. Raises ReplyRejected."""
    body = _bounded(text)
    furthest = ""
    most = -1
    for candidate in _candidates(body):
        for start, found in _objects(candidate):
            if isinstance(found, dict):
                return _checked(found)
            if found.reached - start > most:
                furthest, most = found.words, found.reached - start
    raise ReplyRejected(furthest or "The reply holds no JSON object.")


def parse_code(text: str, language: str = "python") -> str:
    """The source in a reply's one fenced block (of the language, or unnamed). Raises ReplyRejected.

    A reply without any fence is not taken for code: words would be.
    """
    hint = f"Answer with one block, fenced by ```{language} and ```."
    blocks = [(word, block) for word, block in _fenced(_bounded(text)) if block.strip()]
    wanted = [
        block for word, block in blocks if word in (language, "py" if language == "python" else language)
    ]
    chosen = wanted or [block for word, block in blocks if not word]
    if not chosen:
        raise ReplyRejected(f"The reply holds no fenced block of {language}.", hint)
    if len(chosen) > 1:
        raise ReplyRejected(
            f"The reply holds {len(chosen)} fenced blocks of {language}, where one is asked for.", hint
        )
    _no_half_characters(chosen[0])
    return chosen[0].strip("\n") + "\n"


def _bounded(text: str) -> str:
    if len(text) > LONGEST_REPLY:
        raise ReplyRejected(
            f"The reply has {len(text):,} characters; at most {LONGEST_REPLY:,} are read.", "Be brief."
        )
    body = _after_thinking(text.strip("\ufeff \t\r\n"))
    if not body:
        raise ReplyRejected("The reply is empty.")
    return body


def _after_thinking(body: str) -> str:
    """Reasoning models at small servers think aloud in the reply itself, drafts of the answer included."""
    _, mark, rest = body.rpartition(_THOUGHT)
    return rest.strip() if mark and not body.startswith("{") else body


class _Failed:
    """Why a text holds no object, and how far reading it came."""

    def __init__(self, words: str, reached: int) -> None:
        self.words, self.reached = words, reached


def _candidates(body: str) -> Iterator[str]:
    """Where the object may stand, the likeliest first. A reply that begins with a brace is read as it stands."""
    if not body.startswith("{"):
        for index, (_, block) in enumerate(_fenced(body)):
            if index < _CANDIDATES and "{" in block:
                yield block
    yield body


def _fenced(body: str) -> Iterator[tuple[str, str]]:
    """The language and text of each fenced block; a fence is closed by a line with at least as many backticks.

    A last fence that nothing closes (a reply cut short) reaches to the end.
    """
    opened, word, begin = 0, "", 0
    end = 0
    while (at := body.find(_FENCE, end)) >= 0:
        start = body.rfind("\n", end, at) + 1 or end
        end = _end_of_line(body, at)
        if body[start:at].strip():
            continue
        line = body[at:end].strip()
        rest = line.lstrip("`")
        ticks = len(line) - len(rest)
        if not opened:
            opened, word, begin = ticks, rest.strip()[:20].lower(), min(end + 1, len(body))
        elif ticks >= opened and not rest.strip():
            yield word, body[begin:start]
            opened = 0
    if opened:
        yield word, body[begin:]


def _end_of_line(body: str, at: int) -> int:
    end = body.find("\n", at)
    return len(body) if end < 0 else end


def _objects(text: str) -> Iterator[tuple[int, dict[str, Any] | _Failed]]:
    """Every attempt to read an object, from the first brace on.

    After a failed one it goes on behind the place of the error: what stands inside a broken object is no answer, and
    nothing is read twice.
    """
    start = text.find("{")
    for _ in range(_CANDIDATES):
        if start < 0:
            return
        found = _decode(text, start)
        yield start, found
        if isinstance(found, dict):
            return
        start = text.find("{", max(found.reached, start + 1))


def _decode(text: str, start: int) -> dict[str, Any] | _Failed:
    try:
        found, _ = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as cause:
        return _Failed(_where(cause, text), cause.pos)
    except RecursionError:
        return _Failed(_TOO_DEEP, len(text))
    except ReplyRejected as cause:
        return _Failed(cause.message, len(text))
    return found if isinstance(found, dict) else _Failed("The reply holds no JSON object.", start + 1)


def _where(cause: json.JSONDecodeError, text: str) -> str:
    at_end = cause.pos >= len(text.rstrip()) or cause.msg.startswith("Unterminated string")
    if at_end:
        return f"The JSON object is cut off: it is not closed at the end of the reply ({cause.msg})."
    near = text[max(cause.pos - _QUOTED // 2, 0) : cause.pos + _QUOTED // 2]
    return (
        f"The JSON is broken at line {cause.lineno}, column {cause.colno}: {cause.msg}, near {_shown(near)}."
    )


_TOO_DEEP: Final = f"The JSON is nested deeper than {_DEEPEST} levels."


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ReplyRejected(f"The key {_shown(twice)} stands twice in one JSON object.")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ReplyRejected(f"A number has {len(digits):,} digits; no answer needs so many.")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits) if len(digits) <= 4 * _LONGEST_NUMBER else math.inf
    if not math.isfinite(value):
        raise ReplyRejected(f"The number {_shown(digits)} is too large or too long.")
    return value


def _constant(name: str) -> NoReturn:
    raise ReplyRejected(f"{name} is no JSON number: give a finite one, or null.")


# Raw line breaks within strings are let through: models write them, and they are harmless.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=False
)


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    """Depth and characters, without recursion."""
    level: list[Any] = [found]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                _no_half_characters(value)
        level = below
        if not level:
            return found
    raise ReplyRejected(_TOO_DEEP)


def _no_half_characters(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as cause:
        raise ReplyRejected(f"There is half a surrogate pair near {_shown(text[cause.start :])}.") from None
    if not text.isprintable() and (bad := next((c for c in text if c < " " and c not in "\t\n\r"), "")):
        raise ReplyRejected(f"There is a control character (U+{ord(bad):04X}) in {_shown(text)}.")


def _told(cause: ValidationError) -> str:
    """The first errors with their paths, in words; what was given is quoted short."""
    errors = cause.errors(include_url=False, include_context=False)
    lines = [f"{_path(error['loc'])}{error['msg']} (given: {_shown(error.get('input'))})" for error in errors]
    more = f"; and {len(lines) - _ERRORS_TOLD} more" if len(lines) > _ERRORS_TOLD else ""
    return "; ".join(lines[:_ERRORS_TOLD]) + more


def _path(steps: tuple[int | str, ...]) -> str:
    path = ".".join(_shown(step)[1:-1] if isinstance(step, str) else str(step) for step in steps[:12])
    return f"{path}: " if path else ""


def _shown(value: Any) -> str:
    """At most sixty characters, printable in any terminal and in any encoding."""
    if isinstance(value, dict | list):
        return f"{type(value).__name__} of {len(value)}"
    text = ascii(value[: 2 * _QUOTED] if isinstance(value, str) else value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
