"""Whether the library behind an algorithm is installed, without loading it."""

from __future__ import annotations

from importlib.util import find_spec

from experimenter.errors import UsageError

__all__ = ["require"]


def require(algorithm: str, extra: str, *modules: str) -> None:
    """Raises UsageError that names the extra where one of ``modules`` cannot be imported."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"The algorithm {algorithm} needs {' and '.join(missing)}, which {_is(missing)} not installed.",
            f"Install what it needs: pip install 'rl-experimenter[{extra}]'.",
        )


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
