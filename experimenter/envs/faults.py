"""Turns whatever a stranger's environment raises, or never returns, into one typed error that names it.

Environments are foreign code: any exception may come out of them. This is the border where that is caught.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from experimenter.errors import EnvironmentFault, ExperimenterError

__all__ = ["deadline", "foreign", "raised"]


class _Late(BaseException):
    """Not an Exception, so that an environment's own ``except Exception`` cannot swallow it."""


def raised(env_id: str, when: str, error: Exception) -> EnvironmentFault:
    """The fault for an exception that came out of an environment ``when`` (such as ``at step 7``)."""
    text = str(error).strip() or "no message"
    return EnvironmentFault(
        f"{env_id} raised {type(error).__name__} {when}: {text}",
        "Fix the environment, or change its parameters with --set.",
    )


@contextmanager
def foreign(env_id: str, when: str) -> Iterator[None]:
    """Anything raised inside becomes an EnvironmentFault; our own errors pass unchanged."""
    try:
        yield
    except ExperimenterError:
        raise
    except Exception as error:
        raise raised(env_id, when, error) from error


@contextmanager
def deadline(env_id: str, when: str, seconds: float) -> Iterator[None]:
    """Raises EnvironmentFault when the block lasts longer than ``seconds`` of wall-clock.

    Works in a process's main thread only; elsewhere the executor's watch on silence is what ends a hang.
    Native code that never returns to Python is likewise left to the executor.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(_number: int, _frame: FrameType | None) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    outer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Late:
        raise EnvironmentFault(
            f"{env_id} did not return within {seconds:g} seconds {when}.",
            "Look for an endless loop in the environment, or choose parameters that it can satisfy.",
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *outer)
