"""What any algorithm's update tells: a dataclass of figures for the log, some of which the curve's points ask for."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

__all__ = ["Figures"]


class Figures(Protocol):
    """Means over an update. ``finite``: loss and weights are numbers. What an algorithm does not have is zero."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def finite(self) -> bool: ...

    @property
    def entropy(self) -> float: ...

    @property
    def approx_kl(self) -> float: ...

    @property
    def explained_variance(self) -> float: ...
