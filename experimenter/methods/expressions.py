"""Small formulas over a card's named features, as people write them, turned into source for reward programs.

``-abs(position - 0.5)`` becomes ``-np.abs(t.now.position - 0.5)``: a closed language, translated node by node, so
that nothing but numbers, features and the functions named here can come out.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Final, Literal

from experimenter.envs.records import Feature
from experimenter.errors import UsageError, did_you_mean

__all__ = ["FUNCTIONS", "condition", "number"]

When = Literal["now", "next"]
LONGEST: Final = 500
DEEPEST: Final = 20
LARGEST: Final = 1e9
FUNCTIONS: Final[dict[str, tuple[str, int]]] = {
    "abs": ("np.abs", 1),
    "clip": ("np.clip", 3),
    "cos": ("np.cos", 1),
    "exp": ("np.exp", 1),
    "hypot": ("np.hypot", 2),
    "log1p": ("np.log1p", 1),
    "max": ("np.maximum", 2),
    "min": ("np.minimum", 2),
    "sign": ("np.sign", 1),
    "sin": ("np.sin", 1),
    "sqrt": ("np.sqrt", 1),
    "square": ("np.square", 1),
    "tanh": ("np.tanh", 1),
}
"""Functions of a formula: what each becomes, and how many values it takes."""
PRESETS: Final = {"high": 1, "low": 1, "near": 2, "away": 2}
"""Measures from 0 to 1 over a feature's own range: ``high(x)``, ``low(x)``, ``near(x, point)``, ``away(x, point)``."""
EVENTS: Final = ("native_reward", "elapsed")
_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}
_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


def number(text: str, features: Sequence[Feature], when: When) -> str:
    """Source of a formula's value in the state ``when``: float, one per row. It may be infinite or no number where
    the formula is undefined. Raises UsageError that says what cannot be read, or what is not known."""
    writer = _Writer(text, features, when, events=())
    source = writer.number(_parse(text).body, 0)
    writer.check_used()
    return source


def condition(text: str, features: Sequence[Feature]) -> str:
    """Source of a condition on the state before the step: bool, one per row.

    Comparisons of formulas joined by ``and``, ``or`` and ``not``; a flag by itself means that it is on. Besides
    features it may name ``native_reward`` and ``elapsed``. Raises UsageError.
    """
    writer = _Writer(text, features, "now", events=EVENTS)
    source = writer.truth(_parse(text).body, 0)
    writer.check_used()
    return source


def _parse(text: str) -> ast.Expression:
    if len(text) > LONGEST:
        raise UsageError(
            f"A formula has at most {LONGEST} characters, not {len(text)}.", "Write a shorter one."
        )
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"The formula {text!r} cannot be read.", _EXAMPLE) from None


_EXAMPLE: Final = "Write one like -abs(position - 0.5), over the names that `experimenter envs card` lists."


class _Writer:
    """Translates one formula; remembers whether it named anything."""

    def __init__(
        self, text: str, features: Sequence[Feature], when: When, *, events: tuple[str, ...]
    ) -> None:
        self.text, self.when, self.events = text, when, events
        self.features = {feature.name: feature for feature in features}
        self.used = False

    def check_used(self) -> None:
        if not self.used:
            raise UsageError(f"The formula {self.text!r} names no feature.", self._known())

    def number(self, node: ast.expr, depth: int) -> str:
        if depth > DEEPEST:
            raise self._wrong("is nested too deeply")
        match node:
            case ast.Constant():
                return self._constant(node.value)
            case ast.Name(id=name):
                return self._name(name)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return f"(-{self.number(inner, depth + 1)})"
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                return self.number(inner, depth + 1)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                sign = _OPERATORS[type(op)]
                return f"({self.number(left, depth + 1)} {sign} {self.number(right, depth + 1)})"
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, args, depth)
        raise self._wrong(f"holds {type(node).__name__}, which is no part of formulas")

    def truth(self, node: ast.expr, depth: int) -> str:
        if depth > DEEPEST:
            raise self._wrong("is nested too deeply")
        match node:
            case ast.BoolOp(op=op, values=values):
                joined = "np.logical_and" if isinstance(op, ast.And) else "np.logical_or"
                return _folded(joined, [self.truth(value, depth + 1) for value in values])
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return f"np.logical_not({self.truth(inner, depth + 1)})"
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._compare([left, *others], ops, depth)
        return f"({self.number(node, depth)} > 0.5)"

    def _compare(self, sides: list[ast.expr], ops: list[ast.cmpop], depth: int) -> str:
        words = [self.number(side, depth + 1) for side in sides]
        pairs = []
        for i, op in enumerate(ops):
            sign = _COMPARISONS.get(type(op))
            if sign is None:
                raise self._wrong(f"compares by {type(op).__name__}, which is no part of formulas")
            pairs.append(f"({words[i]} {sign} {words[i + 1]})")
        return _folded("np.logical_and", pairs)

    def _constant(self, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(f"holds {value!r:.40}, which is no number")
        if not abs(value) <= LARGEST:
            raise self._wrong(f"holds a number beyond {LARGEST:g}")
        return repr(float(value))

    def _name(self, name: str) -> str:
        if name in self.features:
            self.used = True
            return f"t.{self.when}.{name}"
        if name in self.events:
            self.used = True
            return f"t.{name}"
        raise UsageError(
            f"The formula {self.text!r} names {name[:40]}, which this environment does not have.",
            did_you_mean(name, (*self.features, *self.events)) or self._known(),
        )

    def _call(self, name: str, args: Sequence[ast.expr], depth: int) -> str:
        wanted = FUNCTIONS[name][1] if name in FUNCTIONS else PRESETS.get(name)
        if wanted is None:
            known = (*FUNCTIONS, *PRESETS)
            raise UsageError(
                f"The formula {self.text!r} calls {name[:40]}, which is not there.",
                did_you_mean(name, known) or f"There are: {', '.join(known)}.",
            )
        if len(args) != wanted:
            raise self._wrong(f"gives {name} {len(args)} values; it takes {wanted}")
        if name in PRESETS:
            return self._preset(name, args, depth)
        return f"{FUNCTIONS[name][0]}({', '.join(self.number(arg, depth + 1) for arg in args)})"

    def _preset(self, name: str, args: Sequence[ast.expr], depth: int) -> str:
        inner = args[0]
        if not (isinstance(inner, ast.Name) and inner.id in self.features):
            raise self._wrong(f"calls {name} on something else than a feature")
        feature, source = self.features[inner.id], self._name(inner.id)
        low, high = _range(feature)
        if name in ("high", "low"):
            share = f"np.clip(({source} - {_literal(low)}) / {high - low!r}, 0.0, 1.0)"
            return share if name == "high" else f"(1.0 - {share})"
        point = _value(args[1], self._wrong)
        span = max(high - point, point - low)
        away = f"np.clip(np.abs({source} - {_literal(point)}) / {span!r}, 0.0, 1.0)"
        return away if name == "away" else f"(1.0 - {away})"

    def _known(self) -> str:
        return f"Known: {', '.join((*self.features, *self.events))}."

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"The formula {self.text!r} {what}.", _EXAMPLE)


def _folded(function: str, parts: Sequence[str]) -> str:
    joined = parts[0]
    for part in parts[1:]:
        joined = f"{function}({joined}, {part})"
    return joined


def _literal(value: float) -> str:
    return repr(value) if value >= 0 else f"({value!r})"


def _value(node: ast.expr, wrong: Callable[[str], UsageError]) -> float:
    """A plain number, with its sign."""
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    inner = node.operand if negative and isinstance(node, ast.UnaryOp) else node
    value = inner.value if isinstance(inner, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        raise wrong("needs a plain number as the point of near or away")
    return -float(value) if negative else float(value)


def _range(feature: Feature) -> tuple[float, float]:
    """Its declared ends, else its measured ones; never empty."""
    low = feature.measured_low if feature.low is None or not math.isfinite(feature.low) else feature.low
    high = feature.measured_high if feature.high is None or not math.isfinite(feature.high) else feature.high
    return low, max(high, low + 1e-6)
