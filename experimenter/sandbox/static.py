"""The static check: which Python a reward program may be written in, and which fields of ``t`` it names.

It is one layer of several and not a boundary by itself (``safety.md``): it gives the earliest, cheapest and
clearest refusal. An allow-list throughout: what is not named here is refused.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from experimenter.errors import ProgramRejected, did_you_mean
from experimenter.identity import valid_name
from experimenter.sandbox import vocabulary
from experimenter.sandbox.scan import scan

__all__ = ["StaticReport", "static_check"]

MAX_NODES: Final = 5_000
MAX_DEPTH: Final = 80
MAX_NUMBER: Final = 1e15
MAX_TEXT: Final = 2_000
MAX_EXPONENT: Final = 64
_BATCH: Final = "t"
_MODULES: Final = {
    "np": vocabulary.NUMPY | {"linalg"},
    "numpy": vocabulary.NUMPY | {"linalg"},
    "math": vocabulary.MATH,
}
_ALLOWED: Final = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign,
    ast.For, ast.If, ast.Expr, ast.Pass, ast.Break, ast.Continue, ast.Import, ast.alias, ast.BoolOp, ast.BinOp,
    ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Constant, ast.Attribute, ast.Subscript,
    ast.Slice, ast.Name, ast.Starred, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.ListComp, ast.DictComp,
    ast.SetComp, ast.GeneratorExp, ast.comprehension, ast.Lambda, ast.JoinedStr, ast.FormattedValue,
    ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_HINTS: Final[dict[str, str]] = {
    "While": "Use numpy on whole columns, or `for` over a short range.",
    "ImportFrom": "Write np.sqrt, math.pi and so on; `np` and `math` are there already.",
    "Global": "A program keeps no state: compute everything from t.",
    "Nonlocal": "A program keeps no state: compute everything from t.",
    "Try": "Let it fail: the error's text comes back to you.",
    "Raise": "Return components for every row instead; use np.where to choose between values.",
    "Assert": "Use np.where to choose between values.",
    "With": "A program has no files and no contexts.",
    "ClassDef": "Write functions.",
    "NamedExpr": "Assign in a statement of its own.",
    "Match": "Use np.where or np.select.",
}
_EXAMPLE: Final = 'The shape is: def reward(t): return {"progress": t.next.x - t.now.x}'


@dataclass(frozen=True, slots=True)
class StaticReport:
    """What the program names, e.g. ``{"obs", "terminated", "now.position"}``."""

    fields: frozenset[str]


def _refuse(node: ast.AST | None, message: str, hint: str = "") -> ProgramRejected:
    line = getattr(node, "lineno", 0)
    return ProgramRejected(f"{f'Line {line}: ' if line else ''}{message}.", hint, "static")


def _parse(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        words = f"Line {error.lineno or 0}: not valid Python ({error.msg})."
        raise ProgramRejected(words, "Send the complete program only.", "static") from None
    except (RecursionError, MemoryError, ValueError, OverflowError):
        raise _refuse(None, "the program is nested too deeply to parse") from None


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Child nodes without annotations, which are never evaluated."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _walk(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Every node with its parent; refuses trees that are too large or too deep."""
    waiting: list[tuple[ast.AST, ast.AST, int]] = [(tree, tree, 0)]
    seen = 0
    while waiting:
        node, parent, depth = waiting.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise _refuse(node, "the program is too large or nested too deeply", "Write a shorter program.")
        yield node, parent
        waiting.extend((child, node, depth + 1) for child in _children(node))


def _bound_names(nodes: list[tuple[ast.AST, ast.AST]]) -> frozenset[str]:
    names = set()
    for node, _ in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return frozenset(names)


class _Check:
    """One program's check. ``functions`` are those of the top level, to which ``t`` may be handed on."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes = list(_walk(tree))
        self.bound = _bound_names(self.nodes)
        self.functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.fields: set[str] = set()

    def run(self) -> frozenset[str]:
        for node, parent in self.nodes:
            if not isinstance(node, _ALLOWED):
                name = type(node).__name__
                raise _refuse(
                    node, f"{name} is not part of the language of reward programs", _HINTS.get(name, "")
                )
            rule = getattr(self, f"_see_{type(node).__name__}", None)
            if rule is not None:
                rule(node, parent)
        return frozenset(self.fields)

    def _see_Name(self, node: ast.Name, parent: ast.AST) -> None:  # noqa: N802 - named after the node
        self._word(node, node.id)
        if isinstance(node.ctx, ast.Store):
            self._see_binding(node, node.id)
        elif node.id in _MODULES:
            if not (isinstance(parent, ast.Attribute) and parent.value is node):
                raise _refuse(node, f"{node.id} may only be used as {node.id}.name")
        elif node.id == _BATCH and _BATCH in self.bound:
            self._see_batch(node, parent)
        elif node.id not in self.bound and node.id not in vocabulary.BUILTINS:
            known = self.bound | vocabulary.BUILTINS | set(_MODULES)
            raise _refuse(
                node, f"the name {node.id:.40} is not known here", did_you_mean(node.id, sorted(known))
            )

    def _word(self, node: ast.AST, name: str) -> None:
        if "__" in name or not name.isascii() or len(name) > 80:
            raise _refuse(
                node, f"the name {name:.40} is not allowed", "Use plain names without double underscores."
            )

    def _see_binding(self, node: ast.AST, name: str) -> None:
        if name in _MODULES or name == _BATCH:
            raise _refuse(node, f"{name} cannot be replaced", "Choose another name.")

    def _see_batch(self, node: ast.Name, parent: ast.AST) -> None:
        if isinstance(parent, ast.Attribute):
            return
        called = parent.func if isinstance(parent, ast.Call) and node in parent.args else None
        if not (isinstance(called, ast.Name) and called.id in self.functions):
            raise _refuse(
                node, "t may only be used as t.field, or handed to a function of yours as its t", _EXAMPLE
            )

    def _see_Attribute(self, node: ast.Attribute, parent: ast.AST) -> None:  # noqa: N802
        self._word(node, node.attr)
        if not isinstance(node.ctx, ast.Load):
            raise _refuse(node, "attributes cannot be set", "Build new arrays instead.")
        base = node.value
        if isinstance(base, ast.Name) and base.id in _MODULES:
            self._one_of(node, f"{base.id}.", _MODULES[base.id])
        elif isinstance(base, ast.Name) and base.id == _BATCH:
            self._see_field(node, parent)
        elif isinstance(base, ast.Attribute) and _is_group(base):
            self._see_feature(node, base)
        elif _is_linalg(base):
            self._one_of(node, "np.linalg.", vocabulary.LINALG)
        else:
            self._one_of(node, "the method or attribute ", vocabulary.METHODS)

    def _one_of(self, node: ast.Attribute, before: str, known: frozenset[str]) -> None:
        if node.attr not in known:
            raise _refuse(
                node, f"{before}{node.attr:.40} is not available here", did_you_mean(node.attr, sorted(known))
            )

    def _see_field(self, node: ast.Attribute, parent: ast.AST) -> None:
        if node.attr in vocabulary.FIELDS:
            self.fields.add(node.attr)
        elif node.attr not in vocabulary.GROUPS:
            known = sorted(vocabulary.FIELDS | vocabulary.GROUPS)
            raise _refuse(
                node, f"t.{node.attr:.40} does not exist", did_you_mean(node.attr, known) or _EXAMPLE
            )
        elif not isinstance(parent, ast.Attribute):
            raise _refuse(node, f"write t.{node.attr}.name in full each time", _EXAMPLE)

    def _see_feature(self, node: ast.Attribute, group: ast.Attribute) -> None:
        if not valid_name(node.attr):
            raise _refuse(node, f"t.{group.attr}.{node.attr:.40} is not a feature's name")
        self.fields.add(f"{group.attr}.{node.attr}")

    def _see_Import(self, node: ast.Import, parent: ast.AST) -> None:  # noqa: N802
        for alias in node.names:
            if (alias.name, alias.asname) not in {("numpy", "np"), ("numpy", None), ("math", None)}:
                raise _refuse(
                    node, f"import {alias.name:.40} is not allowed", "Only numpy as np and math are there."
                )

    def _see_FunctionDef(self, node: ast.FunctionDef, parent: ast.AST) -> None:  # noqa: N802
        self._word(node, node.name)
        self._see_binding(node, node.name)
        if node.decorator_list:
            raise _refuse(node, "decorators are not allowed")

    def _see_arg(self, node: ast.arg, parent: ast.AST) -> None:
        self._word(node, node.arg)
        if node.arg in _MODULES:
            raise _refuse(node, f"{node.arg} cannot be replaced", "Choose another name.")

    def _see_keyword(self, node: ast.keyword, parent: ast.AST) -> None:
        if node.arg is not None:
            self._word(node, node.arg)

    def _see_Constant(self, node: ast.Constant, parent: ast.AST) -> None:  # noqa: N802
        value = node.value
        if isinstance(value, (bytes, complex)) or value is Ellipsis:
            raise _refuse(node, f"a constant of type {type(value).__name__} is not allowed")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise _refuse(node, "this text is too long")
        if isinstance(value, (int, float)) and not abs(value) <= MAX_NUMBER:
            raise _refuse(node, "this number is too large", f"Stay within {MAX_NUMBER:g}.")

    def _see_BinOp(self, node: ast.BinOp, parent: ast.AST) -> None:  # noqa: N802
        left, right = node.left, node.right
        if isinstance(node.op, (ast.Pow, ast.LShift)) and _is_big_power(left, right):
            raise _refuse(node, "this power is too large", f"Keep whole exponents within {MAX_EXPONENT}.")
        if isinstance(node.op, (ast.Mod, ast.Mult)) and (_is_text(left) or _is_text(right)):
            raise _refuse(node, "text may not be formatted or repeated", "Component names are plain words.")

    def _see_FormattedValue(self, node: ast.FormattedValue, parent: ast.AST) -> None:  # noqa: N802
        if node.format_spec is not None:
            raise _refuse(node, "format specifications are not allowed", 'Write f"name_{i}".')


def _is_group(node: ast.Attribute) -> bool:
    return node.attr in vocabulary.GROUPS and isinstance(node.value, ast.Name) and node.value.id == _BATCH


def _is_linalg(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Attribute) and node.attr == "linalg"):
        return False
    return isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_big_power(left: ast.AST, right: ast.AST) -> bool:
    if isinstance(right, ast.Constant):
        return isinstance(right.value, (int, float)) and abs(right.value) > MAX_EXPONENT
    whole = isinstance(left, ast.Constant) and type(left.value) is int
    return whole and isinstance(right, ast.BinOp) and isinstance(right.op, (ast.Pow, ast.LShift, ast.Mult))


def static_check(source: str) -> StaticReport:
    """Checks a reward program's text; gives the fields of ``t`` that it names.

    Raises ProgramRejected (layer ``static``) with the line and what to do instead. Takes milliseconds, and a
    source that is too long or nested too deeply is refused before it is parsed.
    """
    scan(source)
    tree = _parse(source)
    _check_shape(tree)
    return StaticReport(_Check(tree).run())
