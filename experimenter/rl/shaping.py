"""From experience to the reward that is learnt from: the native one, or what a contained reward program pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.features import EverTracker, FeatureExtractor
from experimenter.envs.records import Feature
from experimenter.errors import ProgramRejected, did_you_mean
from experimenter.records import RewardProgram
from experimenter.rl.rollout import Experience, RawObs, flatten

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BatchProgram", "Paid", "Shaper", "open_program"]

Floats = NDArray[np.float64]
FeatureArrays = dict[str, NDArray[np.float32]]


class BatchProgram(Protocol):
    """What a reward program looks like from here (``sandbox.program.ContainedProgram``)."""

    @property
    def fields(self) -> frozenset[str]: ...

    @property
    def level(self) -> str: ...

    def call(self, batch: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]: ...

    def begin(self, batch: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[np.float64]]]: ...


@contextmanager
def open_program(program: RewardProgram | None, *, allow_unsandboxed: bool) -> Iterator[BatchProgram | None]:
    """The program in its own contained process, for the length of a phase; ``None`` for the native reward."""
    if program is None:
        yield None
        return
    from experimenter.sandbox.program import ContainedProgram

    with ContainedProgram(program.source, allow_unsandboxed=allow_unsandboxed) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Paid:
    """Rewards (T, N), the components that they are the sum of (none for the native reward), and the features of
    the true next observations, flattened to (T·N,), for whoever counts what was reached."""

    reward: Floats
    components: dict[str, Floats]
    features: FeatureArrays


class Shaper:
    """Calls the program once per rollout with exactly the fields that it names."""

    def __init__(
        self, program: BatchProgram | None, features: tuple[Feature, ...], num_envs: int, gamma: float
    ) -> None:
        self.program, self.gamma = program, gamma
        self.fields = program.fields if program is not None else frozenset()
        self._ever = tuple(f.name for f in features if f.source.rule == "ever")
        self._known = frozenset(f.name for f in features)
        self._extractor = FeatureExtractor(features)
        self._num_envs = num_envs
        self.restart()
        self._check_names()

    def restart(self) -> None:
        """Forget unfinished episodes (all environments were reset)."""
        self._tracker = EverTracker(self._extractor, self._num_envs)

    def _check_names(self) -> None:
        named = {f.partition(".")[2] for f in self.fields if f.startswith(("now.", "next."))}
        unknown = sorted(named - self._known)
        if unknown:
            guess = did_you_mean(unknown[0], sorted(self._known))
            raise ProgramRejected(
                f"the reward program names features that this environment lacks: {', '.join(unknown)}",
                f"{guess} Known features: {', '.join(sorted(self._known))}.".strip(),
                layer="contract",
            )

    def extract(self, raw: RawObs) -> FeatureArrays:
        """The features of flattened observations, but for those that remember."""
        return self._extractor.extract(raw)

    def pay(self, experience: Experience) -> Paid:
        """The rewards of one rollout. Raises ProgramRejected when the program breaks its contract."""
        return self.begin(experience)()

    def begin(self, experience: Experience) -> Callable[[], Paid]:
        """``pay`` in two: what this returns brings the rewards, which the program works out meanwhile."""
        following = self.extract(flatten(experience.next_raw))
        if self.program is None:
            return lambda: Paid(experience.native, {}, following)
        answer = self.program.begin(self.batch(experience, following))
        shape = experience.native.shape

        def finish() -> Paid:
            paid = {name: value.reshape(shape) for name, value in answer().items()}
            return Paid(np.sum(list(paid.values()), axis=0), paid, following)

        return finish

    def batch(self, e: Experience, following: FeatureArrays) -> dict[str, Any]:
        """Exactly the fields that the program names, over the T·N rows of a rollout."""
        rows = e.native.size
        plain: dict[str, Any] = {
            "terminated": e.terminated.reshape(rows),
            "truncated": e.truncated.reshape(rows),
            "native_reward": e.native.reshape(rows),
            "elapsed": e.elapsed.reshape(rows),
            "gamma": float(self.gamma),
        }
        batch = {name: value for name, value in plain.items() if name in self.fields}
        if "obs" in self.fields:
            batch["obs"] = _as_float32(flatten(e.obs_raw))
        if "next_obs" in self.fields:
            batch["next_obs"] = _as_float32(flatten(e.next_raw))
        if "action" in self.fields:
            batch["action"] = e.executed.reshape(rows, *e.executed.shape[2:])
        return batch | self._features(e, following)

    def _features(self, e: Experience, following: FeatureArrays) -> dict[str, Any]:
        named = {f for f in self.fields if f.startswith(("now.", "next."))}
        wants_ever = any(f.partition(".")[2] in self._ever for f in named)
        now: FeatureArrays = {}
        if wants_ever or any(f.startswith("now.") for f in named):
            now = self._extractor.extract(flatten(e.obs_raw))
        if wants_ever:
            now, following = self._track(e, now, following)
        known = {f"now.{k}": v for k, v in now.items()} | {f"next.{k}": v for k, v in following.items()}
        return {name: known[name] for name in sorted(named)}

    def _track(
        self, e: Experience, now: FeatureArrays, following: FeatureArrays
    ) -> tuple[FeatureArrays, FeatureArrays]:
        """Adds the flags that remember, which need each environment's history in order."""
        shape = e.native.shape
        acted_on = {k: v.reshape(shape) for k, v in now.items()}
        raised = {k: np.maximum(acted_on[k], v) for k, v in e.replays.flags.items()}
        before, after = self._tracker.rollout(
            acted_on | raised,
            {k: v.reshape(shape) for k, v in following.items()},
            e.done,
        )
        before |= acted_on
        return {k: v.reshape(-1) for k, v in before.items()}, {k: v.reshape(-1) for k, v in after.items()}


def _as_float32(obs: RawObs) -> RawObs:
    if isinstance(obs, dict):
        return {k: v.astype(np.float32) for k, v in obs.items()}
    return obs.astype(np.float32)
