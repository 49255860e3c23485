"""Frozen stand-ins for ``numpy`` and ``math``, and the few builtins, as generated code sees them.

The real modules never enter the program's namespace: through a module everything else can be reached, and a
replaced ``np.mean`` would reach the worker itself.
"""

from __future__ import annotations

import builtins
import importlib
import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

import numpy as np

from experimenter.sandbox import vocabulary

__all__ = ["MATH", "NUMPY", "Batch", "namespace"]


def _refuse(self: object, name: str, value: object = None) -> NoReturn:
    raise AttributeError(f"{name} cannot be set: what a reward program is given is frozen")


def _frozen(name: str, members: dict[str, Any]) -> Any:
    """An instance without a dictionary whose only attributes are ``members``; nothing on it can be set."""
    held = {key: staticmethod(value) if callable(value) else value for key, value in members.items()}
    body = {"__slots__": (), "__setattr__": _refuse, "__delattr__": _refuse, **held}
    return type(name, (), body)()


def _members(module: Any, names: frozenset[str]) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names if hasattr(module, name)}


_LINALG: Final = _frozen("linalg", _members(np.linalg, vocabulary.LINALG))
NUMPY: Final = _frozen("numpy", {**_members(np, vocabulary.NUMPY), "linalg": _LINALG})
MATH: Final = _frozen("math", _members(math, vocabulary.MATH))


class Features:
    """``t.now`` or ``t.next``: one read-only attribute per feature."""

    __slots__ = ("_held",)

    def __init__(self, held: dict[str, Any]) -> None:
        object.__setattr__(self, "_held", held)

    def __getattr__(self, name: str) -> Any:
        held: dict[str, Any] = object.__getattribute__(self, "_held")
        if name in held:
            return held[name]
        raise AttributeError(f"there is no {name} here; there are {', '.join(sorted(held))}")

    __setattr__ = _refuse
    __delattr__ = _refuse


class Batch(Features):
    """``t``: the fields of a batch of transitions that the program named."""

    __slots__ = ()

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Batch:
        """From a tree of read-only arrays and numbers, keyed by field name (``now.x`` is ``{"now.x": ...}``)."""
        held = {name: value for name, value in fields.items() if "." not in name}
        for group in sorted(vocabulary.GROUPS):
            start = group + "."
            named = {name[len(start) :]: value for name, value in fields.items() if name.startswith(start)}
            held[group] = Features(named)
        return cls(held)


def _import(name: str, *rest: object) -> Any:
    """``import numpy`` and ``import math`` give the facades.

    numpy's own C code imports parts of numpy through its caller's ``__import__`` and then takes them from
    ``sys.modules``; it is let through, but what is returned here is never the module.
    """
    if name == "numpy":
        return NUMPY
    if name == "math":
        return MATH
    if name.startswith("numpy."):
        importlib.import_module(name)
        return None
    raise ImportError(f"a reward program cannot import {name}: it may use np and math only")


def namespace(checked: bool) -> dict[str, Any]:
    """The globals of a program. Unchecked (tests of the kernel's layers only) it gets Python's own builtins."""
    if not checked:
        return {"__name__": "reward_program", "__builtins__": builtins, "np": np, "math": math}
    allowed: dict[str, Any] = {name: getattr(builtins, name) for name in sorted(vocabulary.BUILTINS)}
    importer: Callable[..., Any] = _import
    allowed["__import__"] = importer
    return {"__name__": "reward_program", "__builtins__": allowed, "np": NUMPY, "math": MATH}
