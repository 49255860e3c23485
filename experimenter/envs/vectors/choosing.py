"""Which kind of vector environment a training steps: what may be used, what is fastest, and why, in words.

Native is taken wherever it may be, without measuring: it is always faster, and the choice is then the same everywhere.
Synchronous and worker processes give the same results bit for bit, so a measurement may decide between them. EnvPool
draws another world from the same seeds, so it is used only by whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors.contract import Vector
from experimenter.envs.vectors.kinds import KINDS, Choice, Kind
from experimenter.envs.vectors.measuring import SECONDS, measure
from experimenter.errors import EnvironmentFault, UsageError, did_you_mean
from experimenter.records import EnvSpec

__all__ = ["KINDS", "Choice", "Kind", "Needs", "choose_vector", "eligible", "make_vector", "usable"]

# A message to a worker and back costs about a hundred microseconds, and a batch is at least a few steps.
SLOW_STEP: Final = 300e-6
# Below this gain the measurement's own noise would decide; ties go to sync.
GAIN: Final = 1.15


@dataclass(frozen=True, slots=True)
class Needs:
    """What a training needs beyond transitions: chosen start states, wrappers, infos of every step."""

    starts: bool = False
    wrappers: bool = False
    infos: bool = False

    @property
    def words(self) -> str | None:
        """The first need that only a synchronous vector environment meets."""
        named = (
            (self.starts, "start states"),
            (self.wrappers, "wrappers"),
            (self.infos, "infos of every step"),
        )
        return next((f"the training needs {words}" for wanted, words in named if wanted), None)


def eligible(
    specs: Sequence[EnvSpec],
    needs: Needs,
    kinds: Sequence[str] = KINDS,
    alive: Callable[[], None] = lambda: None,
) -> dict[str, str | None]:
    """For each of ``kinds`` the sentence that says why it may not be used, or ``None`` where it may.

    ``native`` takes a tenth of a second to find out the first time, ``envpool`` up to a minute of playing.
    """
    found: dict[str, str | None] = {}
    for kind in kinds:
        if kind == "sync":
            found[kind] = None
        elif needs.words is not None:
            found[kind] = needs.words
        else:
            found[kind] = _why_not(kind, specs, alive)
    return found


def _why_not(kind: str, specs: Sequence[EnvSpec], alive: Callable[[], None]) -> str | None:
    if kind == "workers":
        return None
    if any(spec != specs[0] for spec in specs):
        return "its environments differ"
    if kind == "native":
        from experimenter.envs.vectors.native_check import why_not_native

        return why_not_native(specs[0])
    from experimenter.envs.vectors.pool_check import why_not_envpool

    return why_not_envpool(specs[0], alive)


def choose_vector(
    specs: Sequence[EnvSpec],
    num_envs: int,
    needs: Needs | None = None,
    forced: str = "auto",
    *,
    cores: int = 1,
    seconds: float = SECONDS,
    alive: Callable[[], None] = lambda: None,
) -> Choice:
    """The kind for ``num_envs`` environments of ``specs`` (one specification each, or one for all).

    ``cores``: how many one training may use while others run beside it. Raises UsageError where the kind that is
    ``forced`` may not be used, with the reason, and for a kind that does not exist.
    """
    needs = needs or Needs()
    if forced != "auto":
        return _forced(specs, needs, forced, alive)
    found = eligible(specs, needs, ("native", "workers"))
    reasons = {kind: words for kind, words in found.items() if words is not None}
    if (hint := _hint(specs, needs)) is not None:
        reasons["envpool"] = hint
    if found["native"] is None:
        reasons["native"] = (
            "Gymnasium's own batched version, with the same transitions, taken without measuring"
        )
        return Choice(kind="native", reasons=reasons)
    rates = _measured(("sync",), specs, num_envs, cores, seconds, alive)
    if (why := found["workers"] or _not_tried(num_envs, cores, rates["sync"])) is not None:
        return Choice(kind="sync", rates=rates, reasons={**reasons, "workers": why})
    try:
        rates = _measured(("sync", "workers"), specs, num_envs, cores, seconds, alive)
    except EnvironmentFault as fault:
        return Choice(kind="sync", rates=rates, reasons={**reasons, "workers": f"tried: {fault.message}"})
    kind: Kind = "workers" if rates["workers"] > GAIN * rates["sync"] else "sync"
    return Choice(kind=kind, rates=rates, reasons=reasons)


def _forced(specs: Sequence[EnvSpec], needs: Needs, forced: str, alive: Callable[[], None]) -> Choice:
    kind = next((kind for kind in KINDS if kind == forced), None)
    if kind is None:
        hint = did_you_mean(forced, ("auto", *KINDS)) or f"Choose auto, {', '.join(KINDS)}."
        raise UsageError(f"There is no kind of vector environment called {forced[:40]!r}.", hint)
    why = eligible(specs, needs, (kind,), alive)[kind]
    if why is not None:
        raise UsageError(
            f"The vector environment {forced} cannot be used with {specs[0].id}: {why.rstrip('.')}.",
            "Leave it to auto, or choose sync.",
        )
    return Choice(kind=kind, reasons={kind: "as asked"})


def _hint(specs: Sequence[EnvSpec], needs: Needs) -> str | None:
    """EnvPool is not chosen unasked, but whoever could ask for it should know."""
    from experimenter.envs.vectors.pool import installed

    if needs.words or any(spec != specs[0] or spec.kwargs for spec in specs) or not installed():
        return None
    return "perhaps faster, but with other random worlds: ask with --vector envpool"


def _not_tried(num_envs: int, cores: int, rate: float) -> str | None:
    if num_envs < 2:
        return "not tried, there is one environment only"
    if cores < 2:
        return "not tried, every core trains already"
    if rate * SLOW_STEP > 1:
        return f"not tried, a step takes {1e6 / rate:.0f} µs"
    return None


def _measured(
    kinds: Sequence[str],
    specs: Sequence[EnvSpec],
    num_envs: int,
    cores: int,
    seconds: float,
    alive: Callable[[], None],
) -> dict[str, float]:
    vectors: dict[str, Vector] = {}
    try:
        for kind in kinds:
            vectors[kind] = make_vector(kind, specs, num_envs, workers=cores)
        return measure(vectors, seconds, alive)
    finally:
        for vector in vectors.values():
            vector.close()


def usable(kind: str, specs: Sequence[EnvSpec], needs: Needs, chosen_for: EnvSpec) -> Kind:
    """What of a choice made for ``chosen_for`` holds for other rows: the kind itself, or else ``sync``.

    Native is tested again where the rows are of another specification; EnvPool's long test is not repeated.
    """
    own = all(spec == chosen_for for spec in specs)
    if kind == "sync" or needs.words is not None:
        return "sync"
    if kind == "workers":
        return "workers"
    if kind == "native":
        return "native" if own or eligible(specs, needs, ("native",))["native"] is None else "sync"
    if kind == "envpool":
        return "envpool" if own else "sync"
    raise ValueError(f"no kind of vector environment is called {kind!r}")


def make_vector(
    kind: str,
    specs: EnvSpec | Sequence[EnvSpec],
    num_envs: int,
    wrap: Callable[[Any], Any] | None = None,
    *,
    workers: int | None = None,
    silence: float = 60.0,
) -> Vector:
    """A vector environment of the kind; ``specs``: one for all rows, or one for each; ``wrap`` needs ``sync``.

    ``workers``: how many processes, or EnvPool's threads; ``silence``: seconds after which whoever watches this process
    takes it for hanging. Raises UsageError where the kind cannot be made.
    """
    rows = [*specs] if not isinstance(specs, EnvSpec) else [specs]
    every = rows * num_envs if len(rows) == 1 else rows
    if kind == "sync":
        return SyncVector(every, num_envs, wrap, hastened=True)
    if wrap is not None:
        raise UsageError(f"Wrappers need a synchronous vector environment, not {kind}.", "Choose sync.")
    if kind == "native":
        from experimenter.envs.vectors.native import NativeVector

        return NativeVector(every, num_envs)
    if kind == "workers":
        from experimenter.envs.vectors.workers import WorkerVector

        return WorkerVector(every, num_envs, workers, silence)
    if kind == "envpool":
        from experimenter.envs.vectors.pool import EnvPoolVector

        return EnvPoolVector(every, num_envs, threads=min(workers or 1, num_envs))
    raise UsageError(f"There is no kind of vector environment called {kind!r}.", did_you_mean(kind, KINDS))
