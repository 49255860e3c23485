"""What is kept of a test of success that was written from the wish: the test, its gate, and what it said of policies.

None of this is a figure of the judge: the test is generated code. Nothing that chooses, promotes or compares reads it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeVar

from pydantic import Field, ValidationError

from experimenter.identity import digest
from experimenter.records import Interval, Json, Record

__all__ = [
    "SHARES",
    "TEST",
    "ArmShares",
    "Gate",
    "Reason",
    "SuccessShares",
    "Tried",
    "WordedTest",
    "frozen_hash",
    "highest_share",
    "read_shares",
    "read_test",
]

TEST: Final = "success_test"
SHARES: Final = "success_words"
"""Names of the documents of a run that hold a ``WordedTest`` and its ``SuccessShares``."""

Reason = Literal[
    "",
    "static",
    "containment",
    "limits",
    "contract",
    "preflight",
    "components",
    "values",
    "not deterministic",
    "always met",
    "never met",
    "met by random actions",
    "met by doing nothing",
    "recording",
]
"""Why a test was refused; empty where it was accepted."""

_UNSEEN: Final = 0.05
T = TypeVar("T", bound=Record)


def frozen_hash(source: str) -> str:
    """What a test is frozen by."""
    return digest(source)


def highest_share(episodes: int) -> float:
    """The highest true share, at 95 %, that ``episodes`` failures and no success leave possible: about 3/n."""
    return 1.0 - _UNSEEN ** (1.0 / episodes) if episodes else 1.0


class Tried(Record):
    """What a policy that must fail did: its name, whole episodes, how many episodes the test called a success, steps.

    An episode that was cut at the limit of steps is no whole one, but counts among ``met`` if the test was met in it.
    """

    name: str
    episodes: int
    met: int
    steps: int


class Gate(Record):
    """Everything that a test went through before it was believed to say anything.

    ``reason`` is empty where it passed; ``message`` and ``hint`` say what was wrong, and go back to the planner.
    ``rows`` were made from the environment card, ``rows_met`` of them met the test. ``level`` is its containment.
    """

    reason: Reason = ""
    message: str = ""
    hint: str = ""
    level: str = ""
    fields: tuple[str, ...] = ()
    rows: int = 0
    rows_met: int = 0
    random: Tried | None = None
    idle: tuple[Tried, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.reason

    @property
    def error(self) -> str:
        """What the planner is told."""
        return f"{self.message} {self.hint}".strip()

    @property
    def repairable(self) -> bool:
        """Whether another program could fare better."""
        return self.reason not in ("", "containment", "recording")

    @property
    def steps(self) -> int:
        """Steps of the environment that the gate took."""
        return sum(one.steps for one in (*filter(None, (self.random,)), *self.idle))


class WordedTest(Record):
    """A test that was proposed. ``attempts`` were made; ``reason`` says in words why the last one was refused."""

    state: Literal["accepted", "refused"]
    source: str = Field(max_length=100_000)
    hash: str
    attempts: int
    reason: str = ""
    gate: Gate

    @property
    def is_frozen(self) -> bool:
        """Whether the source is still the one that was frozen."""
        return frozen_hash(self.source) == self.hash


class ArmShares(Record):
    """Shares of held-out episodes that met the test, one for each training seed; a failed training counts as zero."""

    name: str
    shares: tuple[float, ...]
    interval: Interval
    failed: int = 0


class SuccessShares(Record):
    """What the frozen test said of the confirmed policies, on the episodes that the judge scored them on.

    ``random`` is the share of random actions on the same episodes. ``words`` say why nothing was measured.
    """

    state: Literal["measured", "not measured"]
    hash: str
    episodes: int = 0
    arms: tuple[ArmShares, ...] = ()
    random: float | None = None
    trial: str = ""
    words: str = ""

    def arm(self, name: str) -> ArmShares | None:
        """The arm of that name, where it was measured."""
        return next((one for one in self.arms if one.name == name), None)


def read_test(stored: Json) -> WordedTest | None:
    """The test as a run keeps it; ``None`` where there is none or it cannot be read."""
    return _read(WordedTest, stored)


def read_shares(stored: Json) -> SuccessShares | None:
    """The shares as a run keeps them; ``None`` where there are none or they cannot be read."""
    return _read(SuccessShares, stored)


def _read(kind: type[T], stored: Json) -> T | None:
    try:
        return None if stored is None else kind.model_validate(stored)
    except ValidationError:
        return None
