"""Which algorithm a design names: a plug-in, built in or a stranger's, that is looked up only when it is named."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final

from experimenter import plugins
from experimenter.contracts import Algorithm
from experimenter.errors import ConfigError
from experimenter.policies.policy import Policy
from experimenter.records import Design
from experimenter.rl.account import Account
from experimenter.rl.course import Course
from experimenter.rl.foreign import Guarded, GuardedAlgorithm, foreign
from experimenter.rl.job import TrainJob
from experimenter.rl.state import TrainingState

__all__ = ["ALGORITHMS", "algorithm", "check_algorithm", "course_for"]

_OWN: Final = {
    "dqn": "experimenter.rl.offpolicy.plugins:DQN",
    "ppo": "experimenter.rl.ppo:PPO",
    "sac": "experimenter.rl.offpolicy.plugins:SAC",
}
"""The kernel's own entry points: a training that names one need not read the metadata of every installed package."""
ALGORITHMS: Final = tuple(_OWN)
"""Those of the kernel; ``plugins.names("algorithms")`` has all that are installed."""
_DOES: Final = ("ready", "check", "says", "network", "settled", "begin", "course")


@cache
def algorithm(name: str) -> Algorithm:
    """The algorithm of that name. Raises NotFound (with did-you-mean), or ConfigError for a plug-in that is broken."""
    if name in _OWN:
        module, _, kind = _OWN[name].partition(":")
        made: Algorithm = getattr(import_module(module), kind)()
        return made
    guarded: Any = GuardedAlgorithm(_sound(name, plugins.load("algorithms", name)))
    return guarded  # type: ignore[no-any-return]


def check_algorithm(design: Design) -> None:
    """Raises UsageError for an algorithm that nobody provides, that lacks a library or cannot train this design."""
    found = algorithm(design.algorithm)
    found.ready()
    found.check(design)


def course_for(job: TrainJob, policy: Policy, state: TrainingState, account: Account) -> Course:
    """The design's algorithm at work on ``state``; a stranger's is guarded: what it raises becomes a TrainingFault."""
    found = algorithm(job.design.algorithm)
    course: Course = found.course(job, policy, state, account)
    return Guarded(course, found.name) if isinstance(found, GuardedAlgorithm) else course


def _sound(name: str, found: Any) -> Algorithm:
    """The plug-in's instance. Raises ConfigError when it is not what the contract promises."""
    hint = "Install a release of its package that keeps to the contract in docs/plugins.md."
    missing = [does for does in _DOES if not callable(getattr(found, does, None))]
    wrong = ""
    if getattr(found, "name", None) != name:
        wrong = f"calls itself {getattr(found, 'name', None)!r}"
    elif missing:
        wrong = f"has no {missing[0]}()"
    elif not isinstance(getattr(found, "actions", None), tuple):
        wrong = "does not say in `actions` which kinds of action it learns"
    if wrong:
        raise ConfigError(f"The algorithm {name} {wrong}.", hint)
    with foreign(name):
        made: Algorithm = found() if isinstance(found, type) else found
    return made
