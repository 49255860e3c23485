"""Puts whole reward programs beside each other in one source, so that a method can build one program out of several.

Every name that a program binds at its top level gets a name of its own, everywhere in that program; nothing else is
touched. What cannot be renamed safely is refused: the programs may come from a language model, and a silent change
of meaning would be worse than an error.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from experimenter.errors import ProgramRejected
from experimenter.records import RewardProgram
from experimenter.sandbox.scan import MAX_SOURCE
from experimenter.sandbox.static import static_check
from experimenter.sandbox.vocabulary import BUILTINS

__all__ = ["Members", "program", "side_by_side"]

_NAME_LENGTH: Final = 60


@dataclass(frozen=True, slots=True)
class Members:
    """``source`` defines every program; ``calls`` are the names of their ``reward(t)``, in order."""

    source: str
    calls: tuple[str, ...]


def side_by_side(programs: Sequence[RewardProgram], *, taken: Collection[str] = ()) -> Members:
    """The programs in one source without ``def reward``; ``taken`` are names that the caller's own code binds.

    Raises ProgramRejected when a program is refused by the static check or cannot be put beside others.
    """
    trees = [_tree(program) for program in programs]
    used = {"reward", *taken, *BUILTINS}.union(*(_identifiers(tree) for tree in trees))
    parts, calls = list[str](), list[str]()
    for number, (one, tree) in enumerate(zip(programs, trees, strict=True), start=1):
        names = _fresh_names(tree, f"m{number}", used)
        _check(tree, names, one.name)
        kept = [node for node in tree.body if not isinstance(node, (ast.Import, ast.Expr))]
        renamed = _Rename(names, _functions(tree)).visit(ast.Module(body=kept, type_ignores=[]))
        parts.append(f"# {_comment(one.name)}\n{ast.unparse(ast.fix_missing_locations(renamed))}")
        calls.append(names["reward"])
    if any(_imports_numpy(tree) for tree in trees):
        parts.insert(0, "import numpy")
    return Members("\n\n".join(parts), tuple(calls))


def program(name: str, source: str) -> RewardProgram:
    """A program of that source, or ProgramRejected when it has grown too long."""
    if len(source) > MAX_SOURCE:
        raise ProgramRejected(
            f"The programs together have {len(source)} characters; {MAX_SOURCE} are allowed.",
            "Combine fewer or shorter programs.",
        )
    return RewardProgram(name=name, source=source)


def _tree(one: RewardProgram) -> ast.Module:
    static_check(one.source)
    return ast.parse(one.source)


def _bound_at_top(tree: ast.Module) -> list[str]:
    """Names of the top level; loop variables of comprehensions there are among them, which does no harm."""
    found: dict[str, None] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = None
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            stored = (
                n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )
            found.update(dict.fromkeys(stored))
    return list(found)


def _identifiers(tree: ast.Module) -> set[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return names | _functions(tree)


def _functions(tree: ast.Module) -> set[str]:
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _fresh_names(tree: ast.Module, prefix: str, used: set[str]) -> dict[str, str]:
    """A new name for each of the top level's; adds them to ``used``."""
    names = {}
    for old in _bound_at_top(tree):
        base = f"{prefix}_{old.strip('_')[:_NAME_LENGTH]}".rstrip("_")
        new, number = base, 2
        while new in used:
            new, number = f"{base}_{number}", number + 1
        used.add(new)
        names[old] = new
    return names


def _check(tree: ast.Module, names: dict[str, str], title: str) -> None:
    """Refuses what renaming would change the meaning of."""
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} & set(names)
    own = _functions(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                hidden = keyword.arg is None and bool(arguments)
                if hidden or (keyword.arg in arguments and not _plainly_called(node.func, own)):
                    raise _refused(
                        title, f"passes {keyword.arg or '**'} to a function that is not called by name"
                    )
    for name in _loaded_at_top(tree) & set(names) & BUILTINS:
        raise _refused(title, f"uses {name} at its top level and binds it there, too")


def _plainly_called(function: ast.expr, own: set[str]) -> bool:
    """Whether it is certain who is called: a function of the program, a builtin, or something of numpy's."""
    if isinstance(function, ast.Name):
        return function.id in own or function.id in BUILTINS
    return isinstance(function, ast.Attribute)


def _loaded_at_top(tree: ast.Module) -> set[str]:
    """Names that are read while the top level runs: outside the bodies of functions, but in their defaults."""
    waiting: list[ast.AST] = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            waiting += [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
    return {
        inner.id
        for node in waiting
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
    }


def _refused(title: str, why: str) -> ProgramRejected:
    return ProgramRejected(
        f"The program {_comment(title)} cannot be combined with others: it {why}.",
        "Give arguments and top-level names different names, and leave the builtins' names alone.",
    )


def _imports_numpy(tree: ast.Module) -> bool:
    found = (alias for node in tree.body if isinstance(node, ast.Import) for alias in node.names)
    return any(alias.name == "numpy" and alias.asname is None for alias in found)


def _comment(words: str) -> str:
    """A title on one line of plain characters."""
    return "".join(c for c in " ".join(words.split()) if c.isascii() and c.isprintable())[:80]


class _Rename(ast.NodeTransformer):
    def __init__(self, names: dict[str, str], functions: set[str]) -> None:
        self.names, self.functions = names, functions

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(id=self.names.get(node.id, node.id), ctx=node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=self.names.get(node.arg, node.arg))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        node.returns = None
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Keywords of the program's own functions are names of its arguments; those of numpy's are not."""
        own = isinstance(node.func, ast.Name) and node.func.id in self.functions
        self.generic_visit(node)
        for keyword in node.keywords if own else ():
            keyword.arg = self.names.get(keyword.arg, keyword.arg) if keyword.arg else None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Annotations are never evaluated, and are left out."""
        self.generic_visit(node)
        node.annotation = ast.Constant(value=None)
        return node
