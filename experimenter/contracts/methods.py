"""What a method skill's hook must provide, by its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from experimenter.envs.records import EnvCard
from experimenter.records import (
    Design,
    Evaluation,
    Fault,
    Record,
    RewardProgram,
    Training,
)

if TYPE_CHECKING:
    import numpy as np


class Method(Protocol):
    """The hook behind a method skill; ``kind`` says which of the protocols below it also is. Group ``skills``.

    ``Parameters`` is a record with a default for whatever need not be given. What a design says is checked against
    it, and hooks receive every parameter, by name, in ``parameters``.
    """

    contract: ClassVar[int]
    name: ClassVar[str]
    kind: ClassVar[str]
    Parameters: ClassVar[type[Record]]


class RewardMethod(Method, Protocol):
    """Writes one reward program out of others, at design time: the result is source that passes every gate."""

    def write(
        self, programs: Sequence[RewardProgram], card: EnvCard, parameters: Mapping[str, Any]
    ) -> RewardProgram: ...


class StartMethod(Method, Protocol):
    """Makes a start-state distribution for one phase of one training."""

    def starts(self, parameters: Mapping[str, Any]) -> StartStates: ...


@dataclass(frozen=True, slots=True)
class EpisodeTrace:
    """One finished training episode: the seed of its reset, the actions taken since, and its native return.

    ``environment`` is the index in the phase's mixture. ``actions`` has shape (T,) or (T, d); episodes that began
    from a snapshot carry the snapshot's actions (and rewards) as well, so every trace replays from a reset.
    """

    environment: int
    seed: int
    actions: np.ndarray
    native_return: float
    succeeded: bool | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as data: reset environment ``environment`` of the mixture with ``seed``, then take ``actions``."""

    environment: int
    seed: int
    actions: np.ndarray


class StartStates(Protocol):
    """Where episodes begin, learned from the training's own episodes. Plain data goes in and out (``state``)."""

    def ended(self, episode: EpisodeTrace) -> None:
        """Hears of every training episode that ended."""
        ...

    def choose(self, rng: np.random.Generator, environment: int, progress: float) -> Snapshot | None:
        """Where the next episode of ``environment`` starts, or ``None``: an ordinary reset.

        ``progress`` is the share of the phase's steps that is spent, 0 to 1.
        """
        ...

    def drop(self, snapshot: Snapshot) -> None:
        """Hears of a snapshot that did not lead to a live state, so that it is not chosen again."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything it knows, as JSON: it lives in the training's checkpoint."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class WrapperMethod(Method, Protocol):
    """Wraps the training's environments; the judge never sees it."""

    def wrap(self, environment: Any, parameters: Mapping[str, Any]) -> Any: ...


class DiagnosticMethod(Method, Protocol):
    """Adds faults to the diagnosis of a training."""

    def diagnose(
        self,
        training: Training,
        evaluation: Evaluation | None,
        design: Design,
        card: EnvCard,
        parameters: Mapping[str, Any],
    ) -> tuple[Fault, ...]: ...
