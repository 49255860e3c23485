"""A look at the text of a program before it is parsed: Python's own parser can be made to overflow.

Everything here is linear in the size of the source, and a source over the bound is refused at once.
"""

from __future__ import annotations

import io
import tokenize
from typing import Final

from experimenter.errors import ProgramRejected

__all__ = ["MAX_SOURCE", "scan"]

MAX_SOURCE: Final = 20_000
MAX_BRACKETS: Final = 24
MAX_INDENTS: Final = 12
MAX_STATEMENT_TOKENS: Final = 1_200
MAX_PREFIXES: Final = 8
_PREFIXES: Final = frozenset({"not", "-", "+", "~", "lambda", "await", "**", ":"})


def _refuse(message: str, line: int = 0) -> ProgramRejected:
    where = f"Line {line}: " if line else ""
    return ProgramRejected(
        f"{where}{message}.", "Write a short program: plain numpy on whole columns.", "static"
    )


class _Counter:
    """Nesting and length as tokens pass by."""

    def __init__(self) -> None:
        self.brackets = self.indents = self.in_statement = self.prefixes = 0

    def see(self, token: tokenize.TokenInfo) -> None:
        self._nest(token)
        self.in_statement = 0 if token.type == tokenize.NEWLINE else self.in_statement + 1
        self.prefixes = self.prefixes + 1 if token.string in _PREFIXES else 0
        self._judge(token.start[0])

    def _nest(self, token: tokenize.TokenInfo) -> None:
        if token.type == tokenize.OP:
            self.brackets += (token.string in "([{") - (token.string in ")]}")
        self.indents += (token.type == tokenize.INDENT) - (token.type == tokenize.DEDENT)

    def _judge(self, line: int) -> None:
        if self.brackets > MAX_BRACKETS or self.indents > MAX_INDENTS:
            raise _refuse("brackets or blocks are nested too deeply", line)
        if self.in_statement > MAX_STATEMENT_TOKENS:
            raise _refuse("this statement is too long", line)
        if self.prefixes > MAX_PREFIXES:
            raise _refuse("too many operators in a row", line)


def scan(source: str) -> None:
    """Raises ProgramRejected (layer ``static``) when ``source`` is too long or nested too deeply to parse safely."""
    if len(source) > MAX_SOURCE:
        raise _refuse(f"the program has {len(source)} characters; {MAX_SOURCE} are allowed")
    if "\0" in source or (not source.isascii() and any(0xD800 <= ord(c) < 0xE000 for c in source)):
        raise _refuse("the program holds characters that are not text")
    counter = _Counter()
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            counter.see(token)
    except (tokenize.TokenError, SyntaxError) as error:
        raise _refuse(f"this is not Python ({error.args[0]})") from None
