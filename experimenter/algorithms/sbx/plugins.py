"""SBX's algorithms as plug-ins; neither JAX nor the library is loaded before one trains."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from experimenter.algorithms.needs import require
from experimenter.algorithms.plugins import ContinuousPlugin

if TYPE_CHECKING:
    from experimenter.algorithms.courses import MakeReplayModel
    from experimenter.records import OffPolicySettings

__all__ = ["SAC", "TD3", "TQC"]


class _SBX(ContinuousPlugin):
    """``library`` is the name of its class."""

    library: ClassVar[str]

    def ready(self) -> None:
        """See ``experimenter.contracts.Algorithm``."""
        require(self.name, "sbx", "sbx", "jax", "stable_baselines3")

    def model(self) -> MakeReplayModel:
        from experimenter.algorithms.sbx.replaying import SBXModel

        return partial(SBXModel, self.library)


class SAC(_SBX):
    """Soft actor-critic by JAX."""

    name: ClassVar[str] = "sbx-sac"
    library: ClassVar[str] = "SAC"


class TQC(_SBX):
    """Truncated quantile critics by JAX."""

    name: ClassVar[str] = "sbx-tqc"
    library: ClassVar[str] = "TQC"


class TD3(_SBX):
    """Twin delayed deep deterministic policy gradient by JAX."""

    name: ClassVar[str] = "sbx-td3"
    library: ClassVar[str] = "TD3"
    deviation: ClassVar[float] = 0.1

    def usual(self) -> OffPolicySettings:
        """With the learning rate of the method's other version here."""
        return super().usual().model_copy(update={"learning_rate": 1e-3})
