"""What is common to a set of environments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from experimenter.envs.records import Parameter
from experimenter.records import (
    EnvSpec,
)


@runtime_checkable
class Family(Protocol):
    """What is common to a set of environments: their configuration schema, success and sub-tasks."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def owns(self, env_id: str) -> bool: ...

    def make(self, spec: EnvSpec) -> Any:
        """A Gymnasium environment; raises ``errors.NotFound`` or ``errors.EnvironmentFault``."""
        ...

    def schema(self, spec: EnvSpec) -> tuple[Parameter, ...]: ...

    def repair(self, spec: EnvSpec, schema: Sequence[Parameter]) -> tuple[EnvSpec, tuple[str, ...]]:
        """The nearest valid configuration, and one sentence for each thing that was changed."""
        ...

    def success_key(self, spec: EnvSpec, info_keys: Iterable[str]) -> str | None: ...

    def succeeded(
        self, spec: EnvSpec, episode_return: float, terminated: bool, info: Mapping[str, Any]
    ) -> bool | None:
        """Whether an episode succeeded by the family's declared measure; ``None`` where it declares none."""
        ...

    def subtasks(self, spec: EnvSpec, info: Mapping[str, Any]) -> Mapping[str, bool]: ...


@runtime_checkable
class Hastens(Protocol):
    """A family may also know a quicker way through its environments; training takes it, the judge never does."""

    def hasten(self, env: Any) -> None:
        """Replaces parts of an environment that ``make`` built by quicker ones with the same results, to the bit."""
        ...
