"""The static check: which Python a reward program may be written in, and which fields of ``t`` it names.

It is one layer of several and not a boundary by itself (``safety.md``): it gives the earliest, cheapest and
clearest refusal. An allow-list throughout: what is not named here is refused.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

from experimenter.errors import did_you_mean
from experimenter.identity import valid_name
from experimenter.sandbox import vocabulary
from experimenter.sandbox.parse import BATCH, EXAMPLE, parse, refuse, walk

__all__ = ["StaticReport", "static_check"]

MAX_NUMBER: Final = 1e15
MAX_TEXT: Final = 2_000
MAX_EXPONENT: Final = 64
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


@dataclass(frozen=True, slots=True)
class StaticReport:
    """What the program names, e.g. ``{"obs", "terminated", "now.position"}``."""

    fields: frozenset[str]


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
        self.nodes = list(walk(tree))
        self.bound = _bound_names(self.nodes)
        self.functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.fields: set[str] = set()

    def run(self) -> frozenset[str]:
        for node, parent in self.nodes:
            if not isinstance(node, _ALLOWED):
                name = type(node).__name__
                raise refuse(
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
                raise refuse(node, f"{node.id} may only be used as {node.id}.name")
        elif node.id == BATCH and BATCH in self.bound:
            self._see_batch(node, parent)
        elif node.id not in self.bound and node.id not in vocabulary.BUILTINS:
            known = self.bound | vocabulary.BUILTINS | set(_MODULES)
            raise refuse(
                node, f"the name {node.id:.40} is not known here", did_you_mean(node.id, sorted(known))
            )

    def _word(self, node: ast.AST, name: str) -> None:
        if "__" in name or not name.isascii() or len(name) > 80:
            raise refuse(
                node, f"the name {name:.40} is not allowed", "Use plain names without double underscores."
            )

    def _see_binding(self, node: ast.AST, name: str) -> None:
        if name in _MODULES or name == BATCH:
            raise refuse(node, f"{name} cannot be replaced", "Choose another name.")

    def _see_batch(self, node: ast.Name, parent: ast.AST) -> None:
        if isinstance(parent, ast.Attribute):
            return
        called = parent.func if isinstance(parent, ast.Call) and node in parent.args else None
        if not (isinstance(called, ast.Name) and called.id in self.functions):
            raise refuse(
                node, "t may only be used as t.field, or handed to a function of yours as its t", EXAMPLE
            )

    def _see_Attribute(self, node: ast.Attribute, parent: ast.AST) -> None:  # noqa: N802
        self._word(node, node.attr)
        if not isinstance(node.ctx, ast.Load):
            raise refuse(node, "attributes cannot be set", "Build new arrays instead.")
        base = node.value
        if isinstance(base, ast.Name) and base.id in _MODULES:
            self._one_of(node, f"{base.id}.", _MODULES[base.id])
        elif isinstance(base, ast.Name) and base.id == BATCH:
            self._see_field(node, parent)
        elif isinstance(base, ast.Attribute) and _is_group(base):
            self._see_feature(node, base)
        elif _is_linalg(base):
            self._one_of(node, "np.linalg.", vocabulary.LINALG)
        else:
            self._one_of(node, "the method or attribute ", vocabulary.METHODS)

    def _one_of(self, node: ast.Attribute, before: str, known: frozenset[str]) -> None:
        if node.attr not in known:
            raise refuse(
                node, f"{before}{node.attr:.40} is not available here", did_you_mean(node.attr, sorted(known))
            )

    def _see_field(self, node: ast.Attribute, parent: ast.AST) -> None:
        if node.attr in vocabulary.FIELDS:
            self.fields.add(node.attr)
        elif node.attr not in vocabulary.GROUPS:
            known = sorted(vocabulary.FIELDS | vocabulary.GROUPS)
            raise refuse(node, f"t.{node.attr:.40} does not exist", did_you_mean(node.attr, known) or EXAMPLE)
        elif not isinstance(parent, ast.Attribute):
            raise refuse(node, f"write t.{node.attr}.name in full each time", EXAMPLE)

    def _see_feature(self, node: ast.Attribute, group: ast.Attribute) -> None:
        if not valid_name(node.attr):
            raise refuse(node, f"t.{group.attr}.{node.attr:.40} is not a feature's name")
        self.fields.add(f"{group.attr}.{node.attr}")

    def _see_Import(self, node: ast.Import, parent: ast.AST) -> None:  # noqa: N802
        for alias in node.names:
            if (alias.name, alias.asname) not in {("numpy", "np"), ("numpy", None), ("math", None)}:
                raise refuse(
                    node, f"import {alias.name:.40} is not allowed", "Only numpy as np and math are there."
                )

    def _see_FunctionDef(self, node: ast.FunctionDef, parent: ast.AST) -> None:  # noqa: N802
        self._word(node, node.name)
        self._see_binding(node, node.name)
        if node.decorator_list:
            raise refuse(node, "decorators are not allowed")

    def _see_arg(self, node: ast.arg, parent: ast.AST) -> None:
        self._word(node, node.arg)
        if node.arg in _MODULES:
            raise refuse(node, f"{node.arg} cannot be replaced", "Choose another name.")

    def _see_keyword(self, node: ast.keyword, parent: ast.AST) -> None:
        if node.arg is not None:
            self._word(node, node.arg)

    def _see_Constant(self, node: ast.Constant, parent: ast.AST) -> None:  # noqa: N802
        value = node.value
        if isinstance(value, (bytes, complex)) or value is Ellipsis:
            raise refuse(node, f"a constant of type {type(value).__name__} is not allowed")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise refuse(node, "this text is too long")
        if isinstance(value, (int, float)) and not abs(value) <= MAX_NUMBER:
            raise refuse(node, "this number is too large", f"Stay within {MAX_NUMBER:g}.")

    def _see_BinOp(self, node: ast.BinOp, parent: ast.AST) -> None:  # noqa: N802
        left, right = node.left, node.right
        if isinstance(node.op, (ast.Pow, ast.LShift)) and _is_big_power(left, right):
            raise refuse(node, "this power is too large", f"Keep whole exponents within {MAX_EXPONENT}.")
        if isinstance(node.op, (ast.Mod, ast.Mult)) and (_is_text(left) or _is_text(right)):
            raise refuse(node, "text may not be formatted or repeated", "Component names are plain words.")

    def _see_FormattedValue(self, node: ast.FormattedValue, parent: ast.AST) -> None:  # noqa: N802
        if node.format_spec is not None:
            raise refuse(node, "format specifications are not allowed", 'Write f"name_{i}".')


def _is_group(node: ast.Attribute) -> bool:
    return node.attr in vocabulary.GROUPS and isinstance(node.value, ast.Name) and node.value.id == BATCH


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
    fields = _Check(parse(source)).run()
    if not fields - {"gamma"}:
        raise refuse(
            None, "the program reads nothing of t, so that it cannot tell transitions apart", EXAMPLE
        )
    return StaticReport(fields)
