"""From source to a syntax tree of the right outline, safely: the first half of the static check."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Final

from experimenter.errors import ProgramRejected
from experimenter.sandbox.scan import scan

__all__ = ["BATCH", "EXAMPLE", "parse", "refuse", "walk"]

MAX_NODES: Final = 5_000
MAX_DEPTH: Final = 80
BATCH: Final = "t"
EXAMPLE: Final = 'The shape is: def reward(t): return {"progress": t.next.x - t.now.x}'


def refuse(node: ast.AST | None, message: str, hint: str = "") -> ProgramRejected:
    """A refusal that names the line."""
    line = getattr(node, "lineno", 0)
    return ProgramRejected(f"{f'Line {line}: ' if line else ''}{message}.", hint, "static")


def _tree(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        words = f"Line {error.lineno or 0}: not valid Python ({error.msg})."
        raise ProgramRejected(words, "Send the complete program only.", "static") from None
    except (RecursionError, MemoryError, ValueError, OverflowError):
        raise refuse(None, "the program is nested too deeply to parse") from None


def _check_top(tree: ast.Module) -> None:
    for node in tree.body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not text and not isinstance(node, (ast.FunctionDef, ast.Import, ast.Assign, ast.AnnAssign)):
            kind = type(node).__name__
            raise refuse(node, f"{kind}: only functions and constants may stand at the top level", EXAMPLE)


def _check_reward(tree: ast.Module) -> None:
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "reward"]
    if len(found) != 1:
        raise refuse(None, f"the program defines reward {len(found)} times; it must define it once", EXAMPLE)
    given = found[0].args
    others = [*given.posonlyargs, *given.kwonlyargs, given.vararg, given.kwarg]
    if any(others) or given.defaults or [a.arg for a in given.args] != [BATCH]:
        raise refuse(found[0], "reward takes exactly one argument, t", EXAMPLE)


def parse(source: str) -> ast.Module:
    """A tree with functions, constants and imports at the top and exactly one ``def reward(t)`` among them.

    Raises ProgramRejected (layer ``static``); a source too long or nested too deeply is refused before parsing.
    """
    scan(source)
    tree = _tree(source)
    _check_top(tree)
    _check_reward(tree)
    return tree


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Child nodes without annotations, which are never evaluated."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def walk(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Every node with its parent; refuses trees that are too large or too deep."""
    waiting: list[tuple[ast.AST, ast.AST, int]] = [(tree, tree, 0)]
    seen = 0
    while waiting:
        node, parent, depth = waiting.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise refuse(node, "the program is too large or nested too deeply", "Write a shorter program.")
        yield node, parent
        waiting.extend((child, node, depth + 1) for child in _children(node))
